"""The command lines: what a user types and sees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_check_prints_every_mistake_at_once(write_config: Callable[..., Path]) -> None:
    path = write_config()
    text = path.read_text().replace("dim: 16", "dmi: 16").replace("epochs: 2", "epochs: two")
    path.write_text(text + "sede: 1\n")
    done = tool("tools/check.py", "-c", str(path))
    assert done.returncode == 2
    assert "model.fusion.dmi: no such argument of gated; did you mean 'dim'?" in done.stderr
    assert "trainer.epochs: expected int, got 'two'" in done.stderr
    assert "sede: no such key; did you mean 'seed'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_prints_sizes_and_shapes(write_config: Callable[..., Path]) -> None:
    done = tool("tools/check.py", "-c", str(write_config()))
    assert done.returncode == 0, done.stderr
    lines = {" ".join(line.split()[:2]): line for line in done.stdout.splitlines()}
    assert "[16, 1, 16, 16]" in lines["batch image"]
    assert "[16, 21]" in lines["output logits"]
    assert "96" in lines["rows of"] or "rows of train" in done.stdout


def test_data_make_and_train_and_eval(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    out = tmp_path / "qa"
    made = tool("tools/data.py", "make", "digits-qa", "--out", str(out), "--train", "48", "--test", "16")
    assert made.returncode == 0, made.stderr
    assert len((out / "train.jsonl").read_text().splitlines()) == 48
    config = write_config("tools", trainer={"epochs": 1})
    trained = tool("tools/train.py", "-c", str(config))
    assert trained.returncode == 0, trained.stderr
    best = tmp_path / "output" / "tools" / "checkpoints" / "best"
    figures = tmp_path / "figures.json"
    evaluated = tool(
        "tools/eval.py", "-c", str(config), "-w", str(best), "--drop", "audio", "text", "--out", str(figures)
    )
    assert evaluated.returncode == 0, evaluated.stderr
    document = json.loads(figures.read_text())
    assert document["dropped"] == ["audio", "text"] and document["rows"] == 32
    assert evaluated.stdout.startswith("test [image] 32 rows: ")


def test_mistakes_on_the_command_line(trained: Any, tmp_path: Path) -> None:
    everything = tool("tools/eval.py", "-w", str(trained.best), "--drop", "image", "audio", "text")
    assert everything.returncode == 2
    assert "none of the fields image, audio, text after dropping audio, image, text" in everything.stderr
    absent = tool("tools/eval.py", "-w", str(tmp_path / "nothing"))
    assert (absent.returncode, absent.stderr) == (2, f"error: no checkpoint at {tmp_path / 'nothing'}\n")
    folder = tool("deploy/export.py", "-w", str(trained.folder), "--out", str(tmp_path / "b"))
    assert folder.returncode == 2 and "did you mean" in folder.stderr and "checkpoints/best" in folder.stderr
    split = tool("tools/eval.py", "-w", str(trained.best), "--split", "tets")
    assert split.returncode == 2 and "no split 'tets'; did you mean 'test'?" in split.stderr
