"""The example of docs/examples is run as a user would, and what the guide promises of hooks holds."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppmm.app import train as training
from ppmm.app.train import train
from ppmm.engine.hooks import HookBase
from ppmm.engine.trainer import Interrupted, Trainer
from ppmm.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "epoch_table.py"


def table(run: Path) -> list[list[str]]:
    with (run / "epochs.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_a_line_for_each_epoch_also_over_a_resume(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    hooks = [{"name": "epoch_table", "figures": ["loss", "accuracy"]}]
    config = write_config(
        "table", plugins=[str(EXAMPLE)], hooks=hooks, trainer={"epochs": 3, "save_every": 2, "log_every": 100}
    )
    whole = Trainer._poll

    def interrupt(trainer: Trainer) -> None:
        if trainer.state.step == 15:
            raise Interrupted(130)
        whole(trainer)

    monkeypatch.setattr(Trainer, "_poll", interrupt)
    with pytest.raises(Interrupted):
        train(str(config))
    run = tmp_path / "output" / "table"
    assert f"{run}/epochs.csv: ended by Interrupted at step 15" in capsys.readouterr().out
    assert [line[0] for line in table(run)] == ["epoch", "1", "2"]
    monkeypatch.setattr(Trainer, "_poll", whole)
    train(str(config), resume=True)
    head, *lines = table(run)
    assert head == ["epoch", "step", "seconds", "loss", "accuracy", "since_best"]
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    epochs = [entry for entry in history if "val" in entry]
    told = [[str(e["epoch"]), str(e["step"]), str(e["val"]["loss"]), str(e["val"]["accuracy"])] for e in epochs]
    assert [line[:2] + line[3:5] for line in lines] == told and len(lines) == 3
    best, since, expected = -1.0, 0, []
    for line in lines:
        best, since = (float(line[4]), 0) if float(line[4]) > best else (best, since + 1)
        expected.append(str(since))
    assert [line[5] for line in lines] == expected
    state = json.loads((run / "checkpoints" / "last" / "state.json").read_text())
    assert state["hooks"]["EpochTable.0"] == {"since_best": int(expected[-1])}


def test_a_wrong_argument_of_it_is_a_mistake_in_the_yaml(write_config: Callable[..., Path]) -> None:
    config = write_config(plugins=[str(EXAMPLE)], hooks=[{"name": "epoch_table", "figure": ["loss"]}])
    with pytest.raises(ConfigError, match=r"hooks\.0\.figure: no such argument of epoch_table; did you mean 'figures'"):
        train(str(config))


def test_what_a_hook_may_read_is_there(write_config: Callable[..., Path], tmp_path: Path) -> None:
    """Every name that `HookBase` lists, looked up in a trainer as the command makes it."""
    from ppmm.app.experiment import build_parts, build_rows, open_experiment

    assert HookBase.__doc__ is not None
    listed = HookBase.__doc__.split("A hook may read")[1]
    names = re.findall(r"``([a-z_.]+)(?:\([a-z, ]*\))?``", listed)
    assert {"state", "batches", "step.model", "stop", "is_better"} <= set(names) and len(names) > 15
    config = open_experiment(write_config())
    rows = build_rows(config, "train")
    trainer = training.make_trainer(config, build_parts(config, rows), rows, tmp_path)
    for name in names:
        found: Any = trainer
        for part in name.split("."):
            found = getattr(found, part)
