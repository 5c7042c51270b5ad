"""Training in several processes: the run of one process, also when some of them are killed, stopped or misled."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from many import ROOT, finish, start
from safetensors.numpy import load_file

from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import ConfigError

STEPS = 20
"""4 epochs of 5 batches; the last batch of each has 2 rows, so that of four processes two have none."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A fusion of numbers and texts, either of which may be absent, without dropout and batch norm."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 50), ("val", 13)):
        with (tmp_path / f"{split}.jsonl").open("w") as file:
            for number in range(count):
                sensor = rng.normal(size=3).round(3).tolist()
                words = " ".join(rng.choice(["one", "two", "three", "four"], rng.integers(1, 6)))
                row = {"sensor": sensor, "text": words, "state": "high" if sensor[0] > 0 else "low"}
                if number % 5 == 0:
                    del row["sensor" if number % 2 else "text"]
                file.write(json.dumps(row) + "\n")
    document = {
        "name": "run", "output": str(tmp_path / "output"),
        "data": {name: {"name": "manifest", "path": str(tmp_path / f"{name}.jsonl")} for name in ("train", "val")},
        "fields": {"sensor": {"name": "numeric", "size": 3}, "text": {"name": "text", "tokenizer": {"name": "word"}}},
        "targets": {"state": {"name": "label"}},
        "model": {
            "name": "late_fusion",
            "encoders": {"sensor": {"name": "mlp", "dim": 8}, "text": {"name": "bigru", "dim": 8, "dropout": 0.0}},
            "fusion": {"name": "gated", "dim": 8}, "head": {"name": "linear"},
        },
        "objective": {"name": "cross_entropy", "target": "state", "class_weights": "balanced"},
        "metrics": [{"name": "accuracy", "target": "state"}, {"name": "ece", "target": "state"}],
        "loader": {"batch_size": 12}, "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "constant"},
        "hooks": [{"name": "early_stopping", "patience": 30}],
        "trainer": {"epochs": 4, "monitor": "loss", "mode": "min", "log_every": 1, "clip_norm": 1.0},
    }  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def arguments(config: Path, *options: str) -> list[str]:
    return ["tools/train.py", "-c", str(config), *options]


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def wait_for_step(run: Path, step: int, processes: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if (run / "history.jsonl").exists() and f'"step": {step},' in (run / "history.jsonl").read_text():
            return
        time.sleep(0.005)
    raise AssertionError(f"step {step} was not reached")


def assert_same_run(found: Path, wanted: Path) -> None:
    """Weights, optimizer and every figure of the history within 1e-6."""
    for name in ("model.safetensors", "state.safetensors"):
        one, other = (load_file(run / "checkpoints" / "last" / name) for run in (found, wanted))
        assert one.keys() == other.keys()
        for key in other:
            np.testing.assert_allclose(one[key], other[key], rtol=0, atol=1e-6, err_msg=key)
    figures = [{(line["step"], "val" in line): line for line in lines(run)} for run in (found, wanted)]
    for key, line in figures[1].items():
        if not key[1]:
            assert figures[0][key]["train"]["loss"] == pytest.approx(line["train"]["loss"], abs=1e-6)
    assert figures[0][STEPS, True]["val"] == pytest.approx(figures[1][STEPS, True]["val"], abs=1e-6)


@pytest.mark.slow
def test_one_process_two_of_which_one_is_killed_and_one_again(config: Path, tmp_path: Path) -> None:
    train(str(config), ["name=whole"])
    run = tmp_path / "output" / "run"
    train(str(config), ["trainer.max_steps=3"])
    processes = start(2, arguments(config, "--resume", "-o", "trainer.save_every=1"), tmp_path / "log")
    wait_for_step(run, 8, processes)
    processes[1].kill()
    began = time.monotonic()
    assert finish(processes, 30) == [2, -signal.SIGKILL]
    assert time.monotonic() - began < 30
    told = (tmp_path / "log" / "0").read_text()
    assert re.search(r"error: process 1 of 2 \(pid \d+ on .*\) was killed or lost; .* --resume", told), told
    assert "Traceback" not in told
    assert 7 <= read_checkpoint(run / "checkpoints" / "last").manifest["step"] < STEPS
    train(str(config), resume=True)
    assert_same_run(run, tmp_path / "output" / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_a_whole_run_and_one_stopped_at_one_process(world: int, config: Path, tmp_path: Path) -> None:
    train(str(config), ["name=whole"])
    run = tmp_path / "output" / "run"
    processes = start(world, arguments(config), tmp_path / "log")
    wait_for_step(run, 6, processes)
    processes[-1].terminate()
    assert finish(processes) == [128 + signal.SIGTERM] * world
    step = read_checkpoint(run / "checkpoints" / "last").manifest["step"]
    assert step == lines(run)[-1]["step"], "saved at the step at which all of them stopped"
    assert finish(start(world, arguments(config, "--resume-if-any"), tmp_path / "more")) == [0] * world
    assert_same_run(run, tmp_path / "output" / "whole")
    document = json.loads((run / "metrics.json").read_text())
    assert document["rows"] == 13 and (run / "report.html").is_file()
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in run.with_name("whole").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_shards_of_the_optimizer_train_as_whole_ones(world: int, config: Path, tmp_path: Path) -> None:
    """Bit for bit, with clipping; and the run goes on in one process, and in several again."""
    sharded = "trainer.sharding=true"
    assert finish(start(world, arguments(config, "-o", "name=plain"), tmp_path / "log")) == [0] * world
    assert finish(start(world, arguments(config, "-o", sharded), tmp_path / "log")) == [0] * world
    for name in ("model.safetensors", "state.safetensors"):
        one, other = (load_file(tmp_path / "output" / run / "checkpoints" / "last" / name) for run in ("run", "plain"))
        assert one.keys() == other.keys()
        for key, array in other.items():
            assert np.array_equal(one[key], array), key
    parts = ["name=parts", sharded]
    assert finish(start(world, arguments(config, "-o", *parts, "trainer.max_steps=6"), tmp_path / "log")) == [0] * world
    train(str(config), [*parts, "trainer.max_steps=11"], resume=True)
    assert finish(start(2, arguments(config, "--resume", "-o", *parts), tmp_path / "log")) == [0] * 2
    train(str(config), ["name=whole"])
    assert_same_run(tmp_path / "output" / "parts", tmp_path / "output" / "whole")


@pytest.mark.slow
def test_a_row_that_one_process_cannot_read_ends_all(config: Path, tmp_path: Path) -> None:
    rows = (tmp_path / "train.jsonl").read_text().splitlines()
    spoiled = json.loads(rows[21]) | {"sensor": [1, 2, 3, 4]}
    (tmp_path / "train.jsonl").write_text("\n".join([*rows[:21], json.dumps(spoiled), *rows[22:]]))
    assert finish(start(2, arguments(config), tmp_path / "log"), 60) == [2, 2]
    texts = [(tmp_path / "log" / str(rank)).read_text() for rank in range(2)]
    assert all("error: " in text and "22" in text and "sensor" in text for text in texts), texts
    assert any("error: process " in text for text in texts) and not any("Traceback" in text for text in texts)


@pytest.mark.slow
def test_the_launcher_and_a_batch_that_cannot_be_shared(config: Path, tmp_path: Path) -> None:
    """Paddle's own launcher, three processes for 12 rows and then for 10."""
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "3", "--backend", "gloo"]
    command += ["--log_dir", str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def launch(*options: str) -> int:
        done = subprocess.run(
            [*command, *arguments(config, *options)], cwd=ROOT, env=environment, timeout=120, capture_output=True
        )
        return done.returncode

    assert launch("-o", "trainer.epochs=2") == 0
    train(str(config), ["name=whole", "trainer.epochs=2"])
    found, wanted = (
        load_file(tmp_path / "output" / name / "checkpoints" / "last" / "model.safetensors")
        for name in ("run", "whole")
    )
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6)
    assert launch("-o", "name=odd", "loader.batch_size=10") != 0
    told = (tmp_path / "log" / "workerlog.0").read_text()
    assert "loader.batch_size: 10 rows cannot be shared by 3 processes" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["trainer.accumulate=2", "objective.class_weights=null"], "gradient_cache: cross_entropy is a mean over rows"),
        ([], "gradient_cache: with accumulate: 1 there is one batch; set accumulate"),
    ],
)
def test_a_gradient_cache_without_a_use(changes: list[str], message: str, config: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(str(config), ["trainer.gradient_cache=true", *changes])


def test_resume_if_any(config: Path, tmp_path: Path) -> None:
    """A run that is not there, one that was killed before its first checkpoint, and one that has some."""
    run = tmp_path / "output" / "run"
    train(str(config), ["trainer.max_steps=2"], resume_if_any=True)
    shutil.rmtree(run / "checkpoints")
    train(str(config), ["trainer.max_steps=2"], resume_if_any=True)
    assert [line["step"] for line in lines(run) if "val" not in line] == [1, 2]
    train(str(config), ["trainer.max_steps=3"], resume_if_any=True)
    assert [line["step"] for line in lines(run) if "val" not in line] == [1, 2, 3]


def test_a_device_of_another_kind(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppmm.app.processes import join_processes

    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    monkeypatch.setenv("PADDLE_DISTRI_BACKEND", "gloo")
    for name in ("PADDLE_TRAINER_ID", "PADDLE_CURRENT_ENDPOINT", "PADDLE_TRAINER_ENDPOINTS"):
        monkeypatch.setenv(name, "0")
    from ppmm.config import load

    with pytest.raises(ConfigError, match="device: gpu needs NCCL: leave --backend gloo out"):
        join_processes(load(str(config), ["device=gpu"]))


def test_a_variable_that_a_launcher_has_left(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppmm.app.processes import join_processes
    from ppmm.config import load

    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    monkeypatch.delenv("PADDLE_TRAINER_ID", raising=False)
    with pytest.raises(ConfigError, match=r"PADDLE_TRAINERS_NUM=2 is set, but not PADDLE_TRAINER_ID.*for one, unset"):
        join_processes(load(str(config)))


def test_processes_that_never_come_are_not_waited_for_without_end(config: Path, tmp_path: Path) -> None:
    """One of two alone: it says what it waits for, and ends."""
    code = "import sys; from ppmm.app import processes; from ppmm.config import load; processes.MEETING = 1; "
    code += f"processes.join_processes(load({str(config)!r}))"
    points = "127.0.0.1:9,127.0.0.1:10"
    variables = {"PADDLE_TRAINERS_NUM": "2", "PADDLE_TRAINER_ID": "1", "PADDLE_CURRENT_ENDPOINT": "127.0.0.1:10"}
    variables |= {"PADDLE_TRAINER_ENDPOINTS": points, "PADDLE_DISTRI_BACKEND": "gloo", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGALRM, done.stderr
    assert "2 processes meet at 127.0.0.1:9 (PADDLE_TRAINERS_NUM is 2; without a launcher unset it)" in done.stderr
