"""Robustness figures against numbers worked by hand, and that damage is graded and repeatable."""

from __future__ import annotations

import difflib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.robustness import DisturbedRows, effective_robustness, measure_robustness, relative_robustness
from ppmm.errors import ConfigError, DataError
from ppmm.modalities.disturbances import DISTURBANCES, disturbed

RNG = np.random.default_rng(0)
VALUES = {
    "image": RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8),
    "audio": (RNG.standard_normal(4000).astype(np.float32) * 0.1, 8000),
    "text": "how many red dots are there on the left",
}
EVERY = [(kind, name) for kind, changes in DISTURBANCES.items() for name in changes]


def test_relative_is_the_area_by_hand() -> None:
    # (0.9 + 0.7) / 2 x 0.5 + (0.7 + 0.1) / 2 x 0.5
    assert math.isclose(relative_robustness([0, 0.5, 1], [0.9, 0.7, 0.1]), 0.6)


def test_effective_compares_with_a_shifted_baseline_by_hand() -> None:
    # beta = 0.8, 0.7, 0.5 shifted up by 0.1: f - beta = 0, -0.1, +0.1
    assert math.isclose(effective_robustness([0.9, 0.7, 0.7], [0.8, 0.7, 0.5]), 0.0, abs_tol=1e-12)
    assert math.isclose(effective_robustness([0.9, 0.9, 0.9], [0.8, 0.7, 0.5]), 0.1 + 0.3)


def distance(kind: str, one: Any, other: Any) -> float:
    if kind == "text":
        return 1.0 - difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    one, other = (value[0] if kind == "audio" else value for value in (one, other))
    return float(np.abs(one.astype(np.float64) - other).mean())


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_damage_grows_is_repeatable_and_spares_the_original(kind: str, name: str) -> None:
    change, value = DISTURBANCES[kind][name], VALUES[kind]
    kept = value if kind == "text" else (value[0].copy() if kind == "audio" else value.copy())

    def at(level: float, seed: int = 1) -> Any:
        return disturbed(kind, value, change, level, np.random.default_rng(seed))

    assert distance(kind, at(0), value) == 0
    small, large = (np.mean([distance(kind, at(level, seed), value) for seed in range(8)]) for level in (0.2, 1.0))
    assert 0 < small < large
    assert distance(kind, at(0.5), at(0.5)) == 0
    assert distance(kind, kept if kind != "audio" else (kept, 8000), value) == 0, "the original was changed"


def test_occlusion_covers_its_share_and_noise_has_its_ratio() -> None:
    black = np.zeros((100, 200), np.uint8)
    covered = disturbed("image", black, DISTURBANCES["image"]["occlusion"], 0.25, np.random.default_rng(0))
    assert (covered == 128).mean() == 0.25
    wave = np.sin(np.arange(80_000) / 5).astype(np.float32)
    noisy, rate = disturbed("audio", (wave, 8000), DISTURBANCES["audio"]["noise"], 0.5, np.random.default_rng(0))
    ratio = 10 * np.log10((wave**2).mean() / ((noisy - wave) ** 2).mean())
    assert rate == 8000 and abs(ratio - 10.0) < 0.1


def test_missing_takes_a_share_of_rows_and_always_the_same() -> None:
    rows: Any = [{"id": str(number), "image": "x", "text": "y"} for number in range(1000)]
    damaged = DisturbedRows(rows, "image", "image", None, 0.3)
    lacking = [index for index in range(1000) if "image" not in damaged[index]]
    assert 250 < len(lacking) < 350
    assert lacking == [index for index in range(1000) if "image" not in damaged[index]]
    assert all("text" in damaged[index] for index in range(1000))


def test_an_unreadable_file_names_its_row(tmp_path: Path) -> None:
    rows: Any = [{"id": "row 7", "image": str(tmp_path / "none.png")}]
    with pytest.raises(DataError, match="row 7 image"):
        DisturbedRows(rows, "image", "image", DISTURBANCES["image"]["blur"], 0.5)[0]


def test_measures_a_checkpoint_and_compares_it_with_itself(trained: Any, tmp_path: Path) -> None:
    out = tmp_path / "robustness"
    found = measure_robustness(str(trained.best), rows=16, levels=(0.0, 1.0), baseline=str(trained.best), out=str(out))
    assert list(found["subsets"]) == [
        "image+audio+text", "audio+text", "image+text", "image+audio", "text", "audio", "image",
    ]  # fmt: skip
    assert set(found["curves"]) == {
        "image blur", "image noise", "image occlusion", "image missing", "audio noise", "audio missing", "text typos",
        "text missing",
    }  # fmt: skip
    assert found["curves"]["image missing"]["values"][1] == found["subsets"]["audio+text"]
    assert all(curve["effective"] == 0 for curve in found["curves"].values())
    assert json.loads((out / "robustness.json").read_text())["rows"] == 16
    assert "image blur" in (out / "robustness.svg").read_text()


@pytest.mark.parametrize("levels", [(0.0,), (0.1, 1.0), (0.0, 0.5, 0.5), (0.0, 2.0), (0.0, math.nan)])
def test_levels_must_rise_from_0_to_1(levels: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="must rise"):
        measure_robustness("nowhere", levels=levels)


def test_every_subset_of_rows_that_lack_some(trained: Any, tmp_path: Path) -> None:
    """Rows that have no field of a subset are left out of it; the others are evaluated as they are."""
    rows = [json.loads(line) for line in (trained.data / "test.jsonl").open(encoding="utf-8")][:12]
    for number, row in enumerate(rows):
        for name in (("image",), ("audio", "question"), ())[number % 3]:
            del row[name]
    table = tmp_path / "part.jsonl"
    table.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    config = yaml.safe_load(trained.config.read_text())
    config["data"]["test"] |= {"path": str(table), "root": str(trained.data)}
    path = tmp_path / "part.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    document = evaluate_checkpoint(str(trained.best), str(path), every_subset=True)
    assert {"+".join(entry["fields"]): entry["rows"] for entry in document["results"]} == {
        "image+audio+text": 12, "audio+text": 8, "image+text": 12, "image+audio": 12, "text": 8, "audio": 8, "image": 8,
    }  # fmt: skip
    found = measure_robustness(str(trained.best), str(path), levels=[0, 1])
    assert found["subsets"] == {
        "+".join(entry["fields"]): entry["metrics"]["accuracy"] for entry in document["results"]
    }
