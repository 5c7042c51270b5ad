"""A run that SIGKILL ended at a random step and that was resumed is the unbroken one, bit for bit.

Weights, their average, the optimizer's state, what hooks count and every figure of the history, over accumulation,
average and workers. One corner is in the ordinary suite, the whole matrix among the slow tests.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppmm.app.train import train

ROOT = Path(__file__).parents[2]
EPOCHS, BATCHES = 3, 12
HOOKS = [{"name": "early_stopping", "patience": 9}, {"name": "freeze", "match": ["encoders.image"], "until": 1}]
CORNER = (4, True, 2)
CELLS = [
    pytest.param(
        *cell, id="accumulate{}-ema{:d}-workers{}".format(*cell), marks=[] if cell == CORNER else pytest.mark.slow
    )
    for cell in product((1, 4), (False, True), (0, 2))
]


def sections(accumulate: int, ema: bool, workers: int) -> dict[str, Any]:
    average = {"average": {"name": "ema", "decay": 0.9}} if ema else {}
    return {
        "trainer": {
            "epochs": EPOCHS, "accumulate": accumulate, "clip_norm": 1.0, "save_every": 1, "log_every": 2, **average,
        },
        "loader": {"batch_size": 8, "modality_dropout": 0.1, "workers": workers},
        "hooks": HOOKS,
    }  # fmt: skip


def kill_after(config: Path, last: Path, step: int) -> int:
    """Start the run, SIGKILL it once ``step`` is saved; returns the step of the checkpoint that it left."""
    command = [sys.executable, "tools/train.py", "-c", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 240
    try:
        while process.poll() is None and saved_step(last) < step:
            assert time.monotonic() < deadline, f"step {step} was not reached"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    return saved_step(last)


def saved_step(folder: Path) -> int:
    """Of a checkpoint that is being replaced all the time; -1 where there is none just now."""
    try:
        return int(json.loads((folder / "manifest.json").read_text())["step"])
    except (OSError, ValueError):
        return -1


def everything(run: Path) -> dict[str, np.ndarray]:
    return {
        f"{name}/{key}": array
        for name in ("model", "state")
        for key, array in load_file(run / "checkpoints" / "last" / f"{name}.safetensors").items()
    }


def told(run: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lines of the history and the state of the run, without times and memory."""
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    state = json.loads((run / "checkpoints" / "last" / "state.json").read_text())
    figures = ("step", "epoch", "learning_rate", "train", "val")
    return [{name: line[name] for name in figures if name in line} for line in lines], {**state, "seconds": 0}


@pytest.mark.parametrize(("accumulate", "ema", "workers"), CELLS)
def test_a_killed_run_ends_as_the_whole_one(
    accumulate: int, ema: bool, workers: int, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    steps = EPOCHS * BATCHES // accumulate
    whole, broken = (tmp_path / "output" / name for name in ("whole", "broken"))
    train(str(write_config("whole", **sections(accumulate, ema, workers))))
    config = write_config("broken", **sections(accumulate, ema, workers))
    step = random.Random(f"{accumulate} {ema} {workers}").randint(1, steps - 2)
    reached = kill_after(config, broken / "checkpoints" / "last", step)
    assert reached < steps
    train(str(config), resume=True)
    wanted, found = everything(whole), everything(broken)
    assert any(name.startswith("state/weights|") for name in wanted) == ema
    raw, average = wanted.get("state/weights|head.layers.1.weight"), wanted["model/head.layers.1.weight"]
    assert raw is None or not np.array_equal(raw, average)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert array.tobytes() == found[name].tobytes(), f"{name}, killed after step {reached}"
    assert told(broken) == told(whole), f"killed after step {reached}"
    assert told(whole)[1]["step"] == steps
