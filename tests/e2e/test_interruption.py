"""Ctrl-C, kill -9 and a full disk: nothing is lost, and a resumed run ends where an unbroken one does."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import CheckpointError, ConfigError

ROOT = Path(__file__).parents[2]
LONG = {"epochs": 3, "clip_norm": 1.0, "save_every": 1, "log_every": 1}
"""18 steps with a checkpoint after each."""


def start(config: Path, *options: str, limit: int | None = None) -> subprocess.Popen[str]:
    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "tools/train.py", "-c", str(config), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=restrict
    )


def wait_for_step(history: Path, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if history.exists() and any(f'"step": {step},' in line for line in history.read_text().splitlines()):
            return
        time.sleep(0.005)
    raise AssertionError(f"step {step} was not reached: {process.communicate(timeout=60)}")


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_broken_run_resumes_to_the_same_weights(
    number: signal.Signals, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    whole = tmp_path / "output" / "whole"
    train(str(write_config("whole", trainer=LONG)))
    config = write_config("broken", trainer=LONG)
    broken = tmp_path / "output" / "broken"
    process = start(config)
    wait_for_step(broken / "history.jsonl", 8, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else -number), errors
    assert "Traceback" not in errors
    step = read_checkpoint(broken / "checkpoints" / "last").manifest["step"]
    assert 7 <= step < 18
    train(str(config), resume=True)
    expected, found = weights(whole), weights(broken)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    steps = [json.loads(line)["step"] for line in (broken / "history.jsonl").read_text().splitlines()]
    assert steps == [json.loads(line)["step"] for line in (whole / "history.jsonl").read_text().splitlines()]


def test_a_full_disk_leaves_the_previous_checkpoint(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = write_config("full", trainer={**LONG, "max_steps": 2})
    train(str(config))
    last = tmp_path / "output" / "full" / "checkpoints" / "last"
    before = weights(last.parent.parent)
    process = start(config, "--resume", "-o", "trainer.max_steps=6", limit=20_000)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "no space left for the checkpoint" in errors and "the previous checkpoint there is intact" in errors
    assert "Traceback" not in errors
    assert read_checkpoint(last).manifest["step"] == 2
    assert all(np.array_equal(before[name], array) for name, array in weights(last.parent.parent).items())
    assert sorted(path.name for path in last.parent.iterdir()) == ["best", "last"]


def test_an_existing_run_is_not_overwritten_by_accident(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = write_config("twice", trainer={"epochs": 1, "max_steps": 1})
    train(str(config))
    with pytest.raises(ConfigError, match="already holds a run; go on with --resume, start anew with --overwrite"):
        train(str(config))
    train(str(config), overwrite=True)
    with pytest.raises(ConfigError, match=r"cannot resume .*: the config differs in optimizer\.learning_rate"):
        train(str(config), ["optimizer.learning_rate=0.5"], resume=True)


def test_resume_without_a_checkpoint(write_config: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        train(str(write_config("fresh")), resume=True)


def test_no_permission_to_write(write_config: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(CheckpointError, match="choose another place with -o output=FOLDER"):
        train(str(write_config("denied", output=str(tmp_path / "occupied"))))
