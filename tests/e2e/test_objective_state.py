"""Runs whose objective learns: resume bit for bit, the loss of a checkpoint, checkpoints without, other targets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import open_experiment
from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.errors import ConfigError
from ppmm.registry import REGISTRIES

TOWERS = """
from paddle import nn
from ppmm.registry import MODELS
from ppmm.types import Encoder

@MODELS.register("small_towers")
class SmallTowers(nn.Layer):
    def __init__(self, encoders: dict[str, Encoder], dim: int = 8) -> None:
        super().__init__()
        self.fields = tuple(encoders)
        self.encoders = nn.LayerDict(encoders)
        self.projections = nn.LayerDict({name: nn.Linear(part.out_dim, dim) for name, part in encoders.items()})

    def forward(self, batch):
        pooled = {F: self.encoders[F](batch[F], batch.get(f"{F}_mask")).pooled for F in self.fields}
        return {f"{F}_embed": self.projections[F](embed) for F, embed in pooled.items()}
"""


@pytest.fixture(autouse=True)
def registries_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in REGISTRIES.values():
        registry.names()
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.fixture
def retrieval(write_config: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a config of image-audio-text retrieval whose rows of one answer belong together."""
    plugin = tmp_path / "small_towers.py"
    plugin.write_text(TOWERS)

    def write(name: str, **sections: object) -> Path:
        path = write_config(name)
        config = yaml.safe_load(path.read_text())
        config["fields"].pop("text")
        config["model"] = {"name": "small_towers", "encoders": config["model"]["encoders"]}
        config["model"]["encoders"].pop("text")
        config["targets"] = {"scene": {"name": "key", "column": "answer"}}
        config["objective"] = {"name": "info_nce", "fields": ["image", "audio"], "positives": ["scene"]}
        config["metrics"] = []
        config["schedule"] = {"name": "constant"}
        config["plugins"] = [str(plugin)]
        config["trainer"] = {"epochs": 2, "monitor": "loss", "mode": "min", "log_every": 1, "clip_norm": 1.0}
        path.write_text(yaml.safe_dump({**config, **sections}, sort_keys=False))
        return path

    return write


def arrays(run: Path, checkpoint: str = "last") -> dict[str, np.ndarray]:
    folder = run / "checkpoints" / checkpoint
    names = ("model", "objective", "state")
    return {
        f"{name}/{key}": array for name in names for key, array in load_file(folder / f"{name}.safetensors").items()
    }


def test_a_learned_temperature_resumes_bit_for_bit(retrieval: Callable[..., Path], tmp_path: Path) -> None:
    figures = train(str(retrieval("whole")))
    whole, broken = tmp_path / "output" / "whole", tmp_path / "output" / "broken"
    config = retrieval("broken")
    train(str(config), ["trainer.max_steps=4"])
    train(str(config), resume=True)
    wanted, found = arrays(whole), arrays(broken)
    assert {"objective/scale.log_scale", "state/objective.scale.log_scale|moment1"} <= wanted.keys() == found.keys()
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted)
    assert wanted["objective/scale.log_scale"][0] != pytest.approx(np.log(1 / 0.07), abs=1e-4), "nothing was learned"
    lines = [json.loads(line) for line in (whole / "history.jsonl").read_text().splitlines()]
    best = next(line["val"] for line in lines if "val" in line and line["val"]["loss"] == figures["loss"])
    assert best["temperature"] == pytest.approx(
        float(np.exp(-arrays(whole, "best")["objective/scale.log_scale"][0])), rel=1e-5
    )
    assert (whole / "report.html").is_file()


def test_the_loss_of_a_checkpoint_is_that_of_its_own_temperature(
    retrieval: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = retrieval("run")
    plugins = yaml.safe_load(config.read_text())["plugins"]
    figures = train(str(config))
    folder = tmp_path / "output" / "run" / "checkpoints" / "best"
    again = evaluate_checkpoint(str(folder), split="val", plugins=plugins)
    assert again["metrics"] == figures and set(figures) == {"loss", "temperature"}
    old = read_checkpoint(folder)
    texts = {name: old.text(name) for name in old.manifest["files"] if not name.endswith(".safetensors")}
    write_checkpoint(tmp_path / "old", {"model.safetensors": old.arrays("model.safetensors")}, texts, old.manifest)
    assert evaluate_checkpoint(str(tmp_path / "old"), split="val", plugins=plugins)["metrics"] == {}
    assert "no loss is given: the checkpoint does not hold what this objective learns" in capsys.readouterr().err


def test_several_labels_train_evaluate_and_report(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = yaml.safe_load(write_config("several").read_text())
    config["targets"] = {"answer": {"name": "multi_label", "classes": ["yes", "no", *range(19)]}}
    config["objective"] = {"name": "bce", "target": "answer", "pos_weight": "balanced"}
    config["metrics"] = []
    config["trainer"] = {"epochs": 1, "max_steps": 2, "monitor": "loss", "mode": "min"}
    path = tmp_path / "several.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert set(train(str(path))) == {"loss"}
    folder = tmp_path / "output" / "several"
    manifest = read_checkpoint(folder / "checkpoints" / "best").manifest
    assert sum(manifest["class_counts"]["answer"]) == manifest["train_rows"] == 96
    assert (folder / "report.html").is_file()


def test_a_target_must_be_used_and_be_of_the_right_kind(write_config: Callable[..., Path]) -> None:
    path = write_config()
    for override, message in {
        "targets.answer={name: number}": r"target: 'answer' is of the kind number; cross_entropy needs label",
        "targets={answer: {name: label}, scene: {name: key}}": "neither the objective nor a metric uses it",
        "targets={answer: {name: label}, image: {name: key}}": "targets.image: a field has the same name",
        "objective={name: info_nce, fields: [image, sound], positives: [answer]}": "no field 'sound'",
        "objective={name: info_nce, fields: [image, text], positives: [anser]}": "no such target; did you mean",
    }.items():
        with pytest.raises(ConfigError, match=message):
            open_experiment(path, [override])
