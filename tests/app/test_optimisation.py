"""Schedules, parameter groups, clipping and the plateau hook from a YAML: what is refused, shown, trained, resumed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppmm.app.check import check_config
from ppmm.app.checkpoints import restore_training
from ppmm.app.experiment import build_parts, build_rows, open_experiment
from ppmm.app.train import make_trainer, train
from ppmm.errors import ConfigError

Writer = Callable[..., Path]


def sections(**more: Any) -> dict[str, Any]:
    """The small config with the text alone; a Transformer of two blocks reads it."""
    return {
        "fields": {"text": {"name": "text", "tokenizer": {"name": "word"}}},
        "model": {
            "name": "late_fusion",
            "encoders": {"text": {"name": "text_transformer", "dim": 8, "layers": 2, "heads": 2}},
            "fusion": {"name": "concat", "dim": 8},
            "head": {"name": "linear"},
        },
        "loader": {"batch_size": 48},
        "trainer": {"epochs": 2, "monitor": "loss", "mode": "min"},
        **more,
    }


def trainer_of(path: Path, tmp_path: Path, *overrides: str) -> Any:
    config = open_experiment(path, overrides)
    rows = build_rows(config, "train")
    return make_trainer(config, build_parts(config, rows), rows, tmp_path)


@pytest.mark.parametrize(
    ("section", "more", "message"),
    [
        (
            "optimizer",
            {"groups": [{"match": "encoder.text.*"}]},
            "optimizer: groups.0.match: no parameter matches 'enc",
        ),
        ("optimizer", {"groups": [{"match": "encoder.text.*"}]}, "did you mean 'encoders.text.*'"),
        ("optimizer", {"groups": [{"match": "*", "rat": 0.1}]}, "optimizer.groups.0.rat: no such key; did you mean 'r"),
        ("optimizer", {"groups": [{"rate": 0.1}]}, "optimizer.groups.0: needs 'match' (str)"),
        ("optimizer", {"groups": [{"match": "*", "rate": -1.0}]}, "groups.0: ParameterGroup: rate must be above 0"),
        ("optimizer", {"groups": [{"match": "*", "decay": -1.0}]}, "groups.0: ParameterGroup: decay must not be nega"),
        ("optimizer", {"groups": [{"match": "*"}, {"match": "head.*"}]}, "optimizer: groups.1.match: the first group"),
        ("optimizer", {"groups": {"match": "*"}}, "optimizer.groups: expected list of mapping or null, got a mapping"),
        ("optimizer", {"layer_decay": 2.0}, "layer_decay must be above 0 and at most 1"),
        ("trainer", {"clip_value": -1.0}, "trainer.clip_value: must be above 0"),
        ("trainer", {"clip_adaptive": 0}, "trainer.clip_adaptive: must be above 0"),
        ("schedule", {"warmup": 0.1, "warmup_steps": 3}, "schedule: linear: warmup is 0.1 and warmup_steps is 3"),
    ],
)
def test_what_check_and_train_refuse(
    section: str, more: dict[str, Any], message: str, write_config: Writer, tmp_path: Path
) -> None:
    config = sections(optimizer={"name": "adamw"}, schedule={"name": "linear"})
    path = write_config(**{**config, section: {**config[section], **more}})
    for command in (lambda: check_config(str(path)), lambda: trainer_of(path, tmp_path)):
        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            command()
        assert "small.yaml:" in str(caught.value)


def test_two_ways_of_clipping_are_refused(write_config: Writer) -> None:
    path = write_config(**sections(trainer={"epochs": 1, "clip_norm": 1.0, "clip_adaptive": 0.1}))
    with pytest.raises(ConfigError, match=r"trainer\.clip_adaptive: gradients are clipped by clip_norm already"):
        open_experiment(path)


def test_two_plateaus_are_refused_before_a_run_begins(write_config: Writer, tmp_path: Path) -> None:
    hook = {"name": "reduce_on_plateau", "patience": 1}
    with pytest.raises(ConfigError, match=r"small.yaml:\d+ hooks\[1\]: reduce_on_plateau is there more than once"):
        train(str(write_config(**sections(hooks=[hook, {**hook, "patience": 2}]))))
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("hooks", [{"name": "reduce_on_plateau", "patience": 1, "min_delta": math.nan}], "min_delta must be finite"),
        ("hooks", [{"name": "early_stopping", "patience": 1, "min_delta": math.inf}], "min_delta must be finite"),
        ("adapt", [{"name": "lora", "match": ["*"], "alpha": math.inf}], "alpha must be above 0 and finite, got inf"),
        ("loader", {"mix": [{"name": "mixup", "alpha": math.nan}]}, "alpha: nan must be positive and finite"),
    ],
)
def test_numbers_that_are_not_finite_are_refused(section: str, value: Any, message: str, write_config: Writer) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(str(write_config(**sections(**{section: value}))))


@pytest.mark.parametrize("name", ["constant", "linear", "polynomial", "one_cycle", "cosine_restarts", "multi_step"])
def test_a_warm_up_longer_than_the_training(name: str, write_config: Writer, tmp_path: Path) -> None:
    path = write_config(**sections(schedule={"name": name, "warmup_steps": 500}))
    message = "schedule: warmup_steps is 500, but the training has only 4 steps; lower warmup_steps"
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        train(str(path))
    assert "trainer.epochs" in str(caught.value) and "small.yaml:" in str(caught.value)
    assert not (tmp_path / "output" / "small").exists(), "it is told before a run begins"


def test_check_shows_the_groups(write_config: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    groups = [{"match": "*.embedding.*", "decay": 0.0}, {"match": "encoders.*", "rate": 0.5}]
    optimizer = {"name": "adamw", "weight_decay": 0.25, "groups": groups, "layer_decay": 0.8}
    path = write_config(**sections(optimizer=optimizer))
    check_config(str(path))
    found = re.findall(
        r"^group  (\S.*?) +rate x(\S+) +decay (\S+) +([\d,]+) in (\d+) tensors$", capsys.readouterr().out, re.MULTILINE
    )
    shown = {(label, float(rate), float(decay)): int(size.replace(",", "")) for label, rate, decay, size, _ in found}
    assert set(shown) == {  # two layers: the embedding has 0.8^3, the blocks 0.8^2 and 0.8, the norm after them 1
        ("*.embedding.*", 0.512, 0.0), ("encoders.*", 0.32, 0.25), ("encoders.*", 0.32, 0.0), ("encoders.*", 0.4, 0.25),
        ("encoders.*", 0.4, 0.0), ("encoders.*", 0.5, 0.0), ("all others", 1.0, 0.25), ("all others", 1.0, 0.0),
    }  # fmt: skip
    parameters = dict(trainer_of(path, path.parent).step.model.named_parameters())
    assert sum(shown.values()) == sum(int(parameter.size) for parameter in parameters.values())
    assert shown["*.embedding.*", 0.512, 0.0] == int(parameters["encoders.text.embedding.weight"].size)
    assert shown["encoders.*", 0.5, 0.0] == 16, "weight and bias of the last norm"


def test_one_training_with_everything(write_config: Writer, tmp_path: Path) -> None:
    """The rates that Paddle uses, and a clip of the kind that is asked for."""
    path = write_config(
        **sections(
            optimizer={"name": "sgd", "groups": [{"match": "head.*", "rate": 10.0}], "layer_decay": 0.5},
            schedule={"name": "one_cycle", "warmup_steps": 2},
            trainer={"epochs": 2, "clip_adaptive": 0.02, "monitor": "loss", "mode": "min"},
            hooks=[{"name": "reduce_on_plateau", "patience": 3}],
        )
    )
    trainer = trainer_of(path, tmp_path)
    named = dict(trainer.step.model.named_parameters())
    rates = {name: parameter.optimize_attr["learning_rate"] for name, parameter in named.items()}
    assert rates["head.layers.1.weight"] == 10.0 and rates["encoders.text.embedding.weight"] == 0.125
    assert str(trainer.step.optimizer._grad_clip) == "adaptive gradient clipping, limit = 0.02"
    trainer.fit()
    history = (tmp_path / "history.jsonl").read_text(encoding="utf-8")
    assert json.loads(history.splitlines()[-1])["learning_rate"] == pytest.approx(0.0)


def test_a_resumed_run_keeps_the_rate_of_the_plateau(write_config: Writer, tmp_path: Path) -> None:
    """Two epochs and then two more, against four in one go, to the bit."""
    path = write_config(
        **sections(
            optimizer={"name": "adamw", "groups": [{"match": "head.*", "rate": 3.0, "decay": 0.1}]},
            schedule={"name": "constant"},
            hooks=[{"name": "reduce_on_plateau", "patience": 1, "factor": 0.5, "min_delta": 100.0}],
        )
    )
    for name, stops in (("whole", [4]), ("parts", [2, 4])):
        for number, epochs in enumerate(stops):
            trainer = trainer_of(path, tmp_path / name, f"trainer.epochs={epochs}")
            if number:
                restore_training(tmp_path / name / "checkpoints" / "last", trainer)
            trainer.fit()
        lines = [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        assert [line["learning_rate"] for line in lines if "val" in line] == [1e-3, 1e-3, 5e-4, 2.5e-4]
    whole, parts = (
        load_file(tmp_path / name / "checkpoints" / "last" / "model.safetensors") for name in ("whole", "parts")
    )
    assert all(np.array_equal(array, parts[name]) for name, array in whole.items())
