"""A loss that is not finite: what the run leaves, and that a replay finds the very same step."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from ppmm.app import replay
from ppmm.app.replay import replay_run
from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.engine.step import DivergenceError
from ppmm.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
BAD = 21

POISON = """
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.registry import OBJECTIVES


@OBJECTIVES.register("poisoned")
class Poisoned(CrossEntropy):
    def __call__(self, outputs, batch):
        terms = super().__call__(outputs, batch)
        bad = (batch["index"] == 40).any()
        return {"loss": terms["loss"] * (float("nan") if bad else 1.0), "entropy": terms["loss"]}
"""

LOGARITHM = """
import paddle
from paddle import nn
from ppmm.registry import ENCODERS
from ppmm.types import Encoded


@ENCODERS.register("logarithm")
class Logarithm(nn.Layer):
    def __init__(self, in_features: int, dim: int = 8) -> None:
        super().__init__()
        self.scale = nn.Linear(in_features, dim)
        self.out_dim = dim

    def forward(self, x, mask=None):
        return Encoded(self.scale(paddle.log(x)))
"""


@pytest.fixture(scope="module")
def logarithm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin; one file, since a name is registered once."""
    path = tmp_path_factory.mktemp("plugin") / "logarithm.py"
    path.write_text(LOGARITHM)
    return path


@pytest.fixture
def sensors(tmp_path: Path, logarithm: Path) -> Path:
    """A YAML over 48 rows of three numbers, one of has a zero, of which an encoder takes the logarithm."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sensor", "state"])
            for number in range(48):
                cells = [f"{value:.3f}" for value in rng.uniform(1, 2, size=3)]
                if (split, number) == ("train", BAD):
                    cells = ["0", "1", "2"]
                writer.writerow([" ".join(cells), "broken" if number % 2 else "fine"])
    splits = {name: {"name": "manifest", "path": str(tmp_path / f"{name}.csv")} for name in ("train", "val")}
    config = {
        "name": "sensors", "plugins": [str(logarithm)], "output": str(tmp_path / "output"), "data": splits,
        "fields": {"sensor": {"name": "numeric", "size": 3}}, "targets": {"state": {"name": "label"}},
        "model": {
            "name": "late_fusion", "encoders": {"sensor": {"name": "logarithm"}},
            "fusion": {"name": "concat", "dim": 8}, "head": {"name": "linear"},
        },
        "objective": {"name": "cross_entropy", "target": "state"}, "metrics": [{"name": "accuracy", "target": "state"}],
        "loader": {"batch_size": 8}, "optimizer": {"name": "sgd", "learning_rate": 0.01},
        "schedule": {"name": "constant"}, "trainer": {"epochs": 2},
    }  # fmt: skip
    path = tmp_path / "sensors.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_a_row_without_a_logarithm(
    sensors: Path, logarithm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DivergenceError) as caught:
        train(str(sensors))
    run = tmp_path / "output" / "sensors"
    assert f"to see where it comes from: python tools/replay.py {run}" in capsys.readouterr().err
    document = json.loads((run / "divergence.json").read_text())
    assert document["step"] == caught.value.step == document["batch"] and document["epoch"] == 0
    assert [entry["row"] for entry in document["rows"]] == caught.value.rows and len(document["rows"]) == 8
    assert {"pass": 0, "row": BAD} in document["rows"]
    assert document["not_finite"] == [] and document["seed"] == 0
    assert document["terms"]["loss"] > 0, "relu makes zero of NaN on a CPU: the loss does not tell"
    assert "encoders.sensor.scale.weight" in document["gradients"]
    assert read_checkpoint(run / "checkpoints" / "diverged").manifest["step"] == document["step"]

    plugins = [str(logarithm)]
    command = [sys.executable, "tools/replay.py", str(run), "--plugins", *plugins]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "reproduced: gradients are not finite" in done.stdout
    assert f"1 of 8 rows are not finite:\n  row {BAD} (train.csv:{BAD + 2}): in encoders.sensor.scale" in done.stdout
    assert "first layer whose output is not finite: encoders.sensor.scale (Linear)" in done.stdout

    table = tmp_path / "train.csv"
    table.write_text(table.read_text().replace("0 1 2", "1 1 2"))
    assert not replay_run(str(run), plugins)
    said = capsys.readouterr().out
    assert (
        "not reproduced: the loss and its gradients are finite this time" in said
        and "gradient norms, the largest first:" in said
    )

    train(str(sensors), resume=True)  # from ``last``, as ever
    assert not (run / "divergence.json").exists()
    with pytest.raises(DataError, match=r"has no divergence\.json: no run in it ended because"):
        replay_run(str(run))


def test_a_learning_rate_that_is_too_large(
    sensors: Path, logarithm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "train.csv"
    table.write_text(table.read_text().replace("0 1 2", "1 1 2"))
    with pytest.raises(DivergenceError):
        train(str(sensors), ["optimizer.learning_rate=1e30"])
    run = tmp_path / "output" / "sensors"
    assert json.loads((run / "divergence.json").read_text())["step"] > 0
    capsys.readouterr()
    assert replay_run(str(run), [str(logarithm)])
    said = capsys.readouterr().out
    assert "first layer whose output is not finite" in said or "not finite before the step" in said


def test_the_batch_and_the_state_are_the_very_same(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Augmentation, modality dropout, dropout and accumulation: a term that stayed finite is equal to the last bit."""
    plugin = tmp_path / "poison.py"
    plugin.write_text(POISON)
    config = write_config(
        "poisoned", plugins=[str(plugin)], objective={"name": "poisoned", "target": "answer"},
        trainer={"epochs": 2, "accumulate": 2}, loader={"batch_size": 8, "modality_dropout": 0.3, "workers": 2},
    )  # fmt: skip
    with pytest.raises(DivergenceError):
        train(str(config))
    run = tmp_path / "output" / "poisoned"
    document = json.loads((run / "divergence.json").read_text())
    assert document["batches"] == 2 and len(document["rows"]) == 16 and {"pass": 0, "row": 40} in document["rows"]
    with pytest.raises(ConfigError, match="--plugins"):
        replay_run(str(run))
    found: dict[str, float] = {}
    monkeypatch.setattr(replay, "print_replay", lambda replayed, *rest: found.update(replayed.terms))
    assert replay_run(str(run), [str(plugin)])
    assert found["entropy"] == document["terms"]["entropy"] and np.isnan(found["loss"])


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no run at .*: there is no such folder"):
        replay_run(str(tmp_path / "gone"))
    (tmp_path / "divergence.json").write_text("{}")
    with pytest.raises(DataError, match=r"divergence\.json cannot be read"):
        replay_run(str(tmp_path))
