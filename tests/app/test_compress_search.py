"""tools/compress.py --target: a checkpoint that meets it, a front, and what is said where nothing does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppmm.app import compress_search
from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.compress_search import search, towers_of
from ppmm.errors import CompressError, ConfigError
from tests.conftest import Run

RECIPE = "compress=[{name: finetune, epochs: 1, max_steps: 2}]"
QUICK = {"rounds": 2, "probe_steps": 1}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of one ratio, no low precision, and the back end whose files are mostly weights in a model so small."""
    monkeypatch.setattr(compress_search, "FP32", ("plain",))
    monkeypatch.setattr(compress_search, "RATIOS", (0.5,))
    monkeypatch.setattr(compress_search, "_low_precisions", lambda: [])


def test_towers_are_the_encoders_and_what_joins_them(trained: Run) -> None:
    towers = towers_of(load_checkpoint(trained.best).model)
    assert towers == {
        "image": "encoders.image*", "audio": "encoders.audio*", "text": "encoders.text*", "fusion": "fusion*",
        "head": "head*",
    }  # fmt: skip


@pytest.mark.slow
def test_a_size_is_met_by_an_ordinary_checkpoint(trained: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (str(trained.config), str(trained.best), ["size=1.03x"], [RECIPE])
    found = search(*arguments, out=str(out), max_drop=100.0, trials=3, **QUICK)  # type: ignore[arg-type]
    chosen = found["chosen"]
    assert chosen["size"] <= found["dense"]["bytes"] / 1.03 and chosen in found["front"]
    dense, small = load_checkpoint(trained.best), load_checkpoint(out / "checkpoint")
    assert small.checkpoint.manifest["parameters"] < dense.checkpoint.manifest["parameters"]
    assert (out / "search.svg").read_text(encoding="utf-8").startswith("<?xml")
    before = {path: path.stat().st_mtime_ns for path in out.glob("table/*/block.json")}
    again = search(*arguments, out=str(out), max_drop=100.0, trials=3, resume=True, **QUICK)  # type: ignore[arg-type]
    assert again["chosen"]["ratios"] == chosen["ratios"], "the table was measured before"
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("table/*/block.json")}


@pytest.mark.slow
def test_what_cannot_be_met_tells_the_best_found(trained: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        CompressError, match=r"size=1000x is not met with at most 100 points lost; the best found: fp32"
    ):
        search(
            str(trained.config), str(trained.best), ["size=1000x"], [RECIPE], out=str(out), max_drop=100.0, trials=1,
            **QUICK,  # type: ignore[arg-type]
        )  # fmt: skip
    document = json.loads((out / "search.json").read_text(encoding="utf-8"))
    assert document["chosen"] is None and len(document["outcomes"]) == 1 and not (out / "checkpoint").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"trials": 0}, "at least 1"), ({"max_drop": -1.0}, "at least"), ({"max_drop": float("nan")}, "at least")],
)
def test_absurd_numbers(options: dict[str, float], words: str, trained: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        search(
            str(trained.config), str(trained.best), ["size=2x"], out=str(tmp_path / "out"),
            **options,  # type: ignore[arg-type]
        )  # fmt: skip
