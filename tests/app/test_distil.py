"""Distillation from end to end: a smaller student, a student of fewer modalities, a resumed step, unfit teachers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.compress import compress
from ppmm.compress.steps.distil import Distil
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.engine.step import TrainStep
from ppmm.errors import CompressError, ConfigError
from tests.conftest import Run, small_config

FUSION = {"name": "concat", "dim": 8}
HEAD = {"name": "linear"}


def steps(teacher: Path, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "distil", "teacher": str(teacher), "epochs": 1, "max_steps": 4, **more}]


def student(trained: Run, fields: tuple[str, ...]) -> dict[str, Any]:
    """Sections of a smaller model of some of the fields."""
    encoders = {
        "image": {"name": "cnn", "channels": [4]}, "audio": {"name": "audio_cnn", "dim": 4, "channels": [2]},
        "text": {"name": "embedding_bag", "dim": 4},
    }  # fmt: skip
    whole = small_config(trained.data, Path(), "any")
    return {
        "fields": {name: whole["fields"][name] for name in fields},
        "model": {
            "name": "late_fusion", "encoders": {name: encoders[name] for name in fields}, "fusion": FUSION, "head": HEAD
        },
    }  # fmt: skip


def test_a_smaller_student_is_built_and_taught(trained: Run, write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = write_config("student", **student(trained, ("image", "audio", "text")), compress=steps(trained.best))
    report = compress(str(path), out=str(tmp_path / "out"))
    told = report["steps"][0]["report"]
    dense, small = load_checkpoint(trained.best), load_checkpoint(tmp_path / "out" / "checkpoint")
    parameters = [sum(int(p.size) for p in one.model.parameters()) for one in (dense, small)]
    assert told["teacher_parameters"] == parameters[0] > 2 * parameters[1]
    assert told["steps"] == 4 and {"hard", "logits"} <= set(told["metrics"])
    before = read_checkpoint(tmp_path / "out" / "0_new" / "checkpoint").arrays("model.safetensors")
    after = read_checkpoint(tmp_path / "out" / "checkpoint").arrays("model.safetensors")
    assert any(not np.array_equal(array, after[name]) for name, array in before.items())


@pytest.mark.parametrize("fields", [("image", "text"), ("image",)])
def test_a_student_of_fewer_modalities_learns_from_all_of_the_teachers(
    fields: tuple[str, ...], trained: Run, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    more = {"features": {"encoders.image": "encoders.image"}, "relational": {"encoders.image": "encoders.image"}}
    path = write_config("few", **student(trained, fields), compress=steps(trained.best, **more))
    report = compress(str(path), out=str(tmp_path / "out"))
    told = report["steps"][0]["report"]
    assert set(told["teacher_fields"]) == {"image", "audio", "text"}
    losses = set(told["metrics"])
    assert {"hard", "logits"} <= losses and any("feature" in name for name in losses), losses
    small = load_checkpoint(tmp_path / "out" / "checkpoint")
    assert set(small.parts.fields) == set(fields)


def test_an_interrupted_student_goes_on_bit_for_bit(
    trained: Run, write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small_config(trained.data, Path(), "any")["trainer"]
    path = write_config(
        "student",
        **student(trained, ("image", "text")),
        compress=steps(trained.best),
        trainer={**whole, "save_every": 1},
    )
    compress(str(path), out=str(tmp_path / "whole"))
    real, calls = TrainStep.__call__, 0

    def broken(self: TrainStep, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainStep, "__call__", broken)
        compress(str(path), out=str(tmp_path / "out"))
    compress(str(path), out=str(tmp_path / "out"), resume=True)
    one, other = (
        read_checkpoint(tmp_path / name / "checkpoint").arrays("model.safetensors") for name in ("whole", "out")
    )
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_unfit_teachers(trained: Run, write_config: Callable[..., Path], tmp_path: Path) -> None:
    base = student(trained, ("image", "audio", "text"))
    other = {"answer": {"name": "label", "classes": ["no", "yes", *range(19)]}}
    path = write_config("order", **base, targets=other, compress=steps(trained.best))
    with pytest.raises(CompressError, match=r"step 1 distil: the teacher .* orders the classes of 'answer' otherwise"):
        compress(str(path), out=str(tmp_path / "order"))
    fewer = {"answer": {"name": "label", "classes": ["yes", "no", *range(19), "none"]}}
    path = write_config("more", **base, targets=fewer, compress=steps(trained.best))
    with pytest.raises(CompressError, match=r"has other classes of 'answer': it lacks none"):
        compress(str(path), out=str(tmp_path / "more"))
    path = write_config("deep", **base, compress=steps(trained.best, features={"encoders.imag": "encoders.image"}))
    with pytest.raises(CompressError, match=r"the student has no layer 'encoders.imag'; did you mean 'encoders.image'"):
        compress(str(path), out=str(tmp_path / "deep"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"logits": -1.0}, "weight of logits must be a number from 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"logits": 0.0}, "distil would learn nothing from the teacher"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_values_that_make_no_sense(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Distil(**arguments)
