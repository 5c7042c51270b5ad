"""tools/compress.py: steps that end in ordinary checkpoints, are resumed bit for bit, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.compress import compress
from ppmm.app.compress_context import StepContext, overrides_of
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import open_experiment
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.compress.context import Training
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.engine.step import TrainStep
from ppmm.errors import CheckpointError, CompressError, ConfigError, PpmmError
from tests.conftest import Run

STEPS = "compress=[{name: prune, ratio: 0.5}, {name: finetune, epochs: 1, max_steps: 5, learning_rate: 0.003}]"
SAVES = "trainer.save_every=2"


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return read_checkpoint(folder).arrays("model.safetensors")


def test_each_step_ends_in_a_checkpoint_that_all_tools_take(trained: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = compress(str(trained.config), str(trained.best), [STEPS], out=str(out))
    dense, pruned, tuned = (
        load_checkpoint(p) for p in (trained.best, out / "1_prune" / "checkpoint", out / "checkpoint")
    )
    sizes = [sum(int(p.size) for p in one.model.parameters()) for one in (dense, pruned, tuned)]
    assert sizes[0] > 1.5 * sizes[1] and sizes[1] == sizes[2]
    assert [step["parameters"] for step in report["steps"]] == sizes[1:]
    assert tuned.checkpoint.manifest["parameters"] == sizes[2]
    assert [record["name"] for record in tuned.checkpoint.manifest["transforms"]] == ["prune"]
    assert report["steps"][1]["report"]["steps"] == 5
    metrics = evaluate_checkpoint(str(out / "checkpoint"), split="val")["metrics"]
    assert metrics == pytest.approx(report["steps"][1]["metrics"])
    assert metrics["loss"] != pytest.approx(report["steps"][0]["metrics"]["loss"])
    again = compress(str(trained.config), str(out / "checkpoint"), [STEPS], out=str(tmp_path / "again"))
    assert again["steps"][0]["parameters"] < sizes[2]
    assert json.loads((out / "compress_report.json").read_text(encoding="utf-8"))["steps"][0]["name"] == "prune"


def test_an_interrupted_compression_goes_on_bit_for_bit(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compress(str(trained.config), str(trained.best), [STEPS, SAVES], out=str(tmp_path / "whole"))
    calls = 0
    real = TrainStep.__call__

    def broken(self: TrainStep, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(self, *arguments)

    out = str(tmp_path / "out")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainStep, "__call__", broken)
        compress(str(trained.config), str(trained.best), [STEPS, SAVES], out=out)
    pruned = weights_of(tmp_path / "out" / "1_prune" / "checkpoint")
    compress(str(trained.config), str(trained.best), [STEPS, SAVES], out=out, resume=True)
    assert all(
        np.array_equal(array, pruned[name]) for name, array in weights_of(tmp_path / "out/1_prune/checkpoint").items()
    )
    whole, resumed = weights_of(tmp_path / "whole" / "checkpoint"), weights_of(tmp_path / "out" / "checkpoint")
    assert all(np.array_equal(array, resumed[name]) for name, array in whole.items())
    with pytest.raises(ConfigError, match=r"step 1 prune was prune \(ratio 0.5\) and now is prune \(ratio 0.25\)"):
        compress(str(trained.config), str(trained.best), [STEPS.replace("0.5", "0.25"), SAVES], out=out, resume=True)
    with pytest.raises(ConfigError, match="step 1 prune started from another checkpoint"):
        compress(str(trained.config), str(tmp_path / "whole" / "checkpoint"), [STEPS, SAVES], out=out, resume=True)
    with pytest.raises(ConfigError, match=r"already holds a compression; go on with --resume"):
        compress(str(trained.config), str(trained.best), [STEPS, SAVES], out=out)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ("[]", ConfigError, "has no steps under compress"),
        ("[{name: prun}]", ConfigError, "no compression step named 'prun'; did you mean 'prune'"),
        ("[{name: prune, ratio: 1.0}]", PpmmError, "ratio"),
        ("[{name: prune, ratio: -0.1}]", PpmmError, "ratio"),
        ("[{name: prune, ratio: 0.5, criterion: l3}]", PpmmError, "l3"),
        ("[{name: finetune, epochs: 0}]", ConfigError, "epochs must be at least 1, got 0"),
        ("[{name: finetune, set: {trainer.epoch: 1}}]", ConfigError, "step 1 finetune: .*trainer.epoch"),
        ("[{name: prune, ratio: 0.5, ratios: {encoder.*: 0.5}}]", CompressError, "step 1 prune: .*encoder"),
    ],
)
def test_what_is_refused(steps: str, error: type[PpmmError], message: str, trained: Run, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        compress(str(trained.config), str(trained.best), [f"compress={steps}"], out=str(tmp_path / "out"))
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_places_that_are_refused(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="holds files that are no compression"):
            compress(str(trained.config), str(trained.best), [STEPS], out=str(tmp_path / "mine"), overwrite=overwrite)
        with pytest.raises(ConfigError, match="lies in --out"):
            compress(str(trained.config), str(trained.best), [STEPS], out=str(trained.folder), overwrite=overwrite)
    assert (tmp_path / "mine" / "notes.txt").read_text(encoding="utf-8") == "kept"
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        compress(str(trained.config), str(tmp_path / "none"), [STEPS], out=str(tmp_path / "out"))


def test_a_model_without_a_checkpoint_begins_as_training_would(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_config("new")
    steps = "compress=[{name: finetune, epochs: 2}]"
    compress(str(path), None, [steps], out=str(tmp_path / "out"))
    train(str(path))
    one, two = weights_of(tmp_path / "out/checkpoint"), weights_of(tmp_path / "output/new/checkpoints/best")
    assert all(np.array_equal(array, two[name]) for name, array in one.items())


def test_training_begins_with_a_pruned_checkpoint_and_is_resumed(trained: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compress(str(trained.config), str(trained.best), ["compress=[{name: prune, ratio: 0.5}]"], out=str(out))
    here = [f"output={tmp_path}", "name=more", "trainer.epochs=1"]
    train(str(trained.config), [*here, "trainer.max_steps=3"], weights=str(out / "checkpoint"))
    shapes = {name: array.shape for name, array in weights_of(out / "checkpoint").items()}
    last = tmp_path / "more" / "checkpoints" / "last"
    assert {name: array.shape for name, array in weights_of(last).items()} == shapes
    train(str(trained.config), [*here, "trainer.max_steps=6"], resume=True)
    manifest = read_checkpoint(last).manifest
    assert manifest["step"] == 6 and [record["name"] for record in manifest["transforms"]] == ["prune"]


def context_of(path: Path, folder: Path, checkpoint: Path, first: Path) -> StepContext:
    folder.mkdir(exist_ok=True)
    return StepContext(str(path), [], load_checkpoint(checkpoint, open_experiment(path)), folder, first)


class SeesTheTeachersFields:
    """The task's loss; the batches must hold the sound."""

    def __init__(self, objective: Any) -> None:
        self.objective = objective
        self.seen: list[bool] = []

    def __call__(self, outputs: Any, batch: Any) -> Any:
        self.seen.append("audio" in batch and bool(batch["has_audio"].all()))
        return self.objective(outputs, batch)


def test_a_student_of_one_field_trains_on_batches_with_those_of_its_teacher(
    trained: Run, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = open_experiment(trained.config)
    fields = {"image": config["fields"]["image"]}
    model = {
        "name": "late_fusion", "encoders": {"image": {"name": "cnn", "channels": [4]}},
        "fusion": {"name": "concat", "dim": 8}, "head": {"name": "linear"},
    }  # fmt: skip
    plain = json.loads(json.dumps({"fields": fields, "model": model}))
    path = write_config("student", **plain, loader={"batch_size": 16, "modality_dropout": 0.5})
    compress(str(path), None, ["compress=[{name: finetune, max_steps: 1}]"], out=str(tmp_path / "out"))
    context = context_of(path, tmp_path / "step", tmp_path / "out" / "checkpoint", trained.best)
    teacher = context.teacher(None)
    assert set(teacher.fields) == {"image", "audio", "text"} and list(context.sample) != teacher.fields
    assert all(parameter.stop_gradient for parameter in teacher.model.parameters())
    objective = SeesTheTeachersFields(context.objective)
    context.train(context.loaded.model, Training(max_steps=2), objective=objective, teacher=teacher)
    assert objective.seen and all(objective.seen)
    other = write_config("other", **{**plain, "fields": {"image": {**plain["fields"]["image"], "size": [20, 20]}}})
    compress(str(other), None, ["compress=[{name: finetune, max_steps: 1}]"], out=str(tmp_path / "out2"))
    context = context_of(other, tmp_path / "step", tmp_path / "out2" / "checkpoint", trained.best)
    with pytest.raises(ConfigError, match=r"reads its inputs otherwise: fields.image.size"):
        context.teacher(None)


def test_values_of_a_step_become_overrides_that_a_yaml_reads_back() -> None:
    training = Training(2, None, 1e-4, {"loader.batch_size": 8, "schedule": {"name": "constant"}, "device": "cpu"})
    assert overrides_of(training) == [
        "trainer.epochs=2", "trainer.max_steps=null", "optimizer.learning_rate=0.0001", "loader.batch_size=8",
        "schedule={name: constant}", "device=cpu",
    ]  # fmt: skip


def test_a_converted_checkpoint_is_exported_as_what_it_was_converted_to(trained: Run, tmp_path: Path) -> None:
    steps = "compress=[{name: convert, precision: int8, algorithm: abs_max, calibrate: 16, keep_worst: 1}]"
    compress(str(trained.config), str(trained.best), [steps], out=str(tmp_path / "out"))
    weights = str(tmp_path / "out" / "checkpoint")
    gate = export_checkpoint(weights, str(tmp_path / "bundle"), samples=8, overrides=["export.max_drop=1.0"])
    quantised = gate["quantisation"]["main"]
    assert gate["precision"] == "int8" and quantised["algorithm"] == "abs_max" and quantised["rows"] == 16
    assert sum(layer["precision"] == "fp32" for layer in quantised["layers"]) == 1
    assert export_checkpoint(weights, str(tmp_path / "fp32"), samples=8, precision="fp32")["precision"] == "fp32"
