"""tools/find.py: what it suggests, what it leaves alone, and what it says to mistakes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppmm.app import find_batch as app
from ppmm.app.batch_trial import measure
from ppmm.app.find_batch import Trial, find_batch, largest_that_fits, parse_memory, recommended
from ppmm.app.find_rate import find_rate
from ppmm.errors import ConfigError, PpmmError

IMAGE_ONLY = {
    "fields": {"image": {"name": "image", "size": [16, 16], "channels": 1}},
    "model": {
        "name": "late_fusion",
        "encoders": {"image": {"name": "cnn", "channels": [4]}},
        "fusion": {"name": "concat", "dim": 8},
        "head": {"name": "linear"},
    },
    "loader": {"batch_size": 16},
}
FREEZE = """
from ppmm.engine.hooks import HookBase
from ppmm.registry import HOOKS

@HOOKS.register("freeze_all_for_a_test")
class FreezeAll(HookBase):
    def on_start(self, trainer):
        for parameter in trainer.step.model.parameters():
            parameter.stop_gradient = True
"""


def test_a_rate_is_found_and_nothing_else_is_touched(
    write_config: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_config(**IMAGE_ONLY))
    before = sorted(tmp_path.rglob("*"))
    rate = find_rate(path, ["trainer.accumulate=2"], start=1e-5, stop=10.0, steps=60, out=str(tmp_path / "found"))
    after = {place.relative_to(tmp_path).as_posix() for place in set(tmp_path.rglob("*")) - set(before)}
    assert after == {"found", "found/rate.json", "found/rate.svg"}
    kept = json.loads((tmp_path / "found" / "rate.json").read_text())
    ramp = np.geomspace(1e-5, 10.0, 60)
    assert kept["rates"] == pytest.approx(ramp[: len(kept["rates"])].tolist())
    assert kept["suggestion"] == rate and 1e-4 < rate < 3.0
    assert "<svg" in (tmp_path / "found" / "rate.svg").read_text()
    said = capsys.readouterr().out
    assert f"-o trainer.accumulate=2 -o optimizer.learning_rate={rate:g}\n" in said


def test_the_same_yaml_gives_the_same_curve(write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = str(write_config(**IMAGE_ONLY))
    rates = [find_rate(path, start=1e-5, stop=1.0, steps=40, out=str(tmp_path / name)) for name in "ab"]
    curves = [json.loads((tmp_path / name / "rate.json").read_text())["losses"] for name in "ab"]
    assert rates[0] == rates[1] and curves[0] == curves[1]


def test_a_frozen_model_is_refused(write_config: Callable[..., Path], tmp_path: Path) -> None:
    plugin = tmp_path / "freeze.py"
    plugin.write_text(FREEZE, encoding="utf-8")
    path = write_config(**IMAGE_ONLY, plugins=[str(plugin)], hooks=[{"name": "freeze_all_for_a_test"}])
    with pytest.raises(ConfigError, match=r"none of its \d+ parameters can be trained: all are frozen"):
        find_rate(str(path), out=str(tmp_path / "found"))
    assert not (tmp_path / "found").exists()


def test_a_range_in_which_nothing_is_learned(write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = str(write_config(**IMAGE_ONLY))
    with pytest.raises(PpmmError, match="the loss does not fall between 1e-12 and 1e-11, so no rate is suggested"):
        find_rate(path, start=1e-12, stop=1e-11, steps=10, out=str(tmp_path / "found"))
    assert json.loads((tmp_path / "found" / "rate.json").read_text())["suggestion"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"start": 1.0, "stop": 0.1}, "needs 0 < from < to"),
        ({"start": 0.0}, "needs 0 < from < to"),
        ({"stop": float("inf")}, "needs 0 < from < to"),
        ({"steps": 5}, "--steps 5: a curve needs at least 10"),
    ],
)
def test_a_wrong_range_is_told(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        find_rate("none.yaml", **arguments)  # type: ignore[arg-type]


def test_the_folder_of_a_run_is_refused(write_config: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").touch()
    with pytest.raises(ConfigError, match="which is left alone"):
        find_rate(str(write_config(**IMAGE_ONLY)), out=str(tmp_path))


# ---------------------------------------------------------------------------------------------------- batch size


def searched(capacity: int, first: int, most: int, parts: int = 16) -> tuple[list[int], list[int]]:
    """(sizes in the order in which they were tried, those that fit) where ``capacity`` rows fit."""
    tried: list[int] = []

    def attempt(size: int) -> Trial:
        tried.append(size)
        return Trial(size, 1.0, 1.0, "" if size <= capacity else "too large")

    return tried, [trial.batch_size for trial in largest_that_fits(attempt, first, most, parts) if trial.fits]


@pytest.mark.parametrize(
    ("capacity", "first", "most", "tried", "largest"),
    [
        (100, 16, 1000, [16, 32, 64, 128, 96, 112, 104, 100], 100),
        (5, 16, 1000, [16, 8, 4, 6, 5], 5),
        (0, 4, 10, [4, 2, 1], None),
        (1000, 16, 50, [16, 32, 50], 50),
        (1, 1, 1, [1], 1),
    ],
)
def test_doubling_then_bisection(capacity: int, first: int, most: int, tried: list[int], largest: int | None) -> None:
    order, fitting = searched(capacity, first, most)
    assert order[: len(tried)] == tried and len(set(order)) == len(order)
    assert max(fitting, default=None) == largest or (largest == 100 and 94 <= max(fitting) <= 100)


@pytest.mark.parametrize("capacity", [1, 2, 3, 37, 99, 100, 101, 255])
def test_exactly_is_exact(capacity: int) -> None:
    assert max(searched(capacity, 16, 256, parts=1)[1]) == capacity


def test_the_smallest_of_the_fast_sizes_is_recommended() -> None:
    speeds = {8: 100.0, 16: 190.0, 32: 200.0, 64: 205.0}
    trials = [*(Trial(size, speed, 1.0) for size, speed in speeds.items()), Trial(128, 0.0, 0.0, "too large")]
    assert recommended(trials).batch_size == 32  # 200 >= 0.95 * 205 > 190


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8000), ("7.5GiB", 8053.06368), ("900mb", 900), ("900", 900), ("2 g", 2000)]
)
def test_memory_is_read(text: str, size: float) -> None:
    assert parse_memory(text) == pytest.approx(size)


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0GB", "8 bananas", "1e9"])
def test_wrong_memory_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="write a size such as 8GB"):
        parse_memory(text)


def test_steps_are_measured(write_config: Callable[..., Path]) -> None:
    found = measure(str(write_config(**IMAGE_ONLY)), ["loader.batch_size=8"], 2)
    assert found["samples_per_second"] > 0 and found["peak_mb"] > 50


def test_a_try_that_takes_too_much_is_ended(write_config: Callable[..., Path]) -> None:
    """Importing Paddle alone takes more than 60 MB."""
    with pytest.raises(PpmmError, match=r"not even a batch of one row fits: more than 60 MB"):
        find_batch(str(write_config(**IMAGE_ONLY)), ["loader.batch_size=1"], memory="60MB")


def child_that(tmp_path: Path, does: str) -> str:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o755)
    return str(script)


def test_a_child_that_the_system_kills_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.sys, "executable", child_that(tmp_path, "kill -9 $$"))
    assert app._trial("c.yaml", [], 64, 1, None, False).problem.startswith("killed by the system")


def test_paddles_own_message_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        app.sys, "executable", child_that(tmp_path, """echo '{"out_of_memory": "ResourceExhausted"}'""")
    )
    assert app._trial("c.yaml", [], 64, 1, None, True).problem == "out of memory: ResourceExhausted"


def test_another_mistake_is_not_taken_for_want_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.sys, "executable", child_that(tmp_path, "echo 'error: no such file' >&2; exit 2"))
    with pytest.raises(PpmmError, match="a batch of 64 ended with 2: error: no such file"):
        app._trial("c.yaml", [], 64, 1, None, False)


def test_the_table_and_the_advice(
    write_config: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def trial(path: str, overrides: list[str], size: int, *rest: object) -> Trial:
        assert overrides[-1] == f"loader.batch_size={size}"
        return Trial(size, 10.0 * size, 5.0 * size, "" if size <= 20 else "more than 100 MB")

    monkeypatch.setattr(app, "_trial", trial)
    find_batch(str(write_config(**IMAGE_ONLY)), memory="100MB", exact=True, json_file=str(tmp_path / "t.json"))
    said = capsys.readouterr().out
    assert "| 20 | 200 | 100 | fits |" in said and "| 32 | – | – | more than 100 MB |" in said
    assert "largest that fits: 20\n" in said and "-o loader.batch_size=20" in said
    kept = json.loads((tmp_path / "t.json").read_text())
    assert kept["recommended"] == 20 and kept["limit_mb"] == 100 and os.listdir(tmp_path).count("t.json") == 1
