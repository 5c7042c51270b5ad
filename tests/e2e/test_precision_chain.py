"""Precision, to_static and profile from the YAML: trained, resumed, evaluated, exported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppmm import environment
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.environment import Cpu
from ppmm.errors import ConfigError

ROOT = Path(__file__).parents[2]
needs_bf16 = pytest.mark.skipif(not environment.cpu().bf16, reason="this CPU does not multiply bfloat16")


def steps(count: int, **keys: object) -> dict[str, object]:
    return {"epochs": 2, "clip_norm": 1.0, "max_steps": count, "log_every": 1, **keys}


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [line["train"]["loss"] for line in lines if "val" not in line]


@needs_bf16
@pytest.mark.parametrize("precision", ["bf16", "bf16_o2"])
def test_a_resumed_run_is_the_whole_one_and_its_checkpoint_is_as_any_other(
    precision: str, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    constant = {"name": "constant"}
    train(str(write_config("whole", trainer=steps(6, precision=precision), schedule=constant)))
    config = str(write_config("broken", trainer=steps(3, precision=precision), schedule=constant))
    train(config)
    again = [sys.executable, "tools/train.py", "-c", config, "--resume", "-o", "trainer.max_steps=6"]
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert losses(output / "broken") == losses(output / "whole") and len(losses(output / "whole")) == 6
    for name in ("model.safetensors", "state.safetensors"):
        whole, broken = (load_file(output / run / "checkpoints" / "last" / name) for run in ("whole", "broken"))
        assert whole.keys() == broken.keys()
        for key, array in whole.items():
            assert array.dtype != np.uint16 and array.tobytes() == broken[key].tobytes(), key
    last = str(output / "whole" / "checkpoints" / "last")
    figures = evaluate_checkpoint(last, split="val")
    history = (output / "whole" / "history.jsonl").read_text().splitlines()
    trained = json.loads(history[-1])["val"]
    assert figures["metrics"]["loss"] == trained["loss"], "validation of a run is in float32"
    assert export_checkpoint(last, str(tmp_path / "bundle"))["max_abs"] <= 1e-3


@needs_bf16
def test_bf16_computes_other_losses_than_fp32_but_near_ones(write_config: Callable[..., Path], tmp_path: Path) -> None:
    for precision in ("fp32", "bf16"):
        train(str(write_config(precision, trainer=steps(8, precision=precision))))
    full, low = (np.array(losses(tmp_path / "output" / name)) for name in ("fp32", "bf16"))
    assert 0 < np.abs(full - low).max() < 0.02 * full[0]


def test_to_static_trains_to_the_same_losses_and_names(write_config: Callable[..., Path], tmp_path: Path) -> None:
    found = {}
    for name, keys in (("dynamic", {}), ("static", {"to_static": True})):
        figures = train(str(write_config(name, trainer=steps(6, accumulate=2, **keys))))
        run = tmp_path / "output" / name
        found[name] = figures, losses(run), list(load_file(run / "checkpoints" / "last" / "model.safetensors"))
    assert found["static"][2] == found["dynamic"][2]
    assert found["static"][1] == pytest.approx(found["dynamic"][1], abs=1e-5)
    assert found["static"][0]["loss"] == pytest.approx(found["dynamic"][0]["loss"], abs=1e-4)


def test_profile_is_written_into_the_run_folder(write_config: Callable[..., Path], tmp_path: Path) -> None:
    train(str(write_config("profiled", trainer=steps(4, profile=True))))
    train(str(write_config("plain", trainer=steps(4))))
    output = tmp_path / "output"
    assert {path.name for path in (output / "profiled" / "profile").iterdir()} == {
        "trace.json",
        "steps.json",
        "steps.md",
    }
    assert not (output / "plain" / "profile").exists()
    assert losses(output / "profiled") == losses(output / "plain")


def test_what_this_machine_cannot_compute_is_refused_before_anything_is_made(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"half.yaml:\d+ trainer.precision: fp16 needs a GPU"):
        train(str(write_config("half", trainer=steps(1, precision="fp16"))))
    assert not (tmp_path / "output" / "half").exists()
    monkeypatch.setattr("ppmm.engine.precision.cpu", lambda: Cpu("GenuineIntel", "Xeon 8180"))
    with pytest.raises(ConfigError, match="Xeon 8180 does not; take fp32"):
        train(str(write_config("brain", trainer=steps(1, precision="bf16"))))
    with pytest.raises(ConfigError, match=r"channels_last: on cpu convolutions are slower so"):
        train(str(write_config("last", trainer=steps(1, channels_last=True))))


@needs_bf16
def test_to_static_and_bf16_on_a_cpu_exclude_each_other(write_config: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="does not reach a static graph"):
        train(str(write_config("both", trainer=steps(1, precision="bf16", to_static=True))))
