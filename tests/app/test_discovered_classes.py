"""Classes that were found in the data travel with the checkpoint and still convert labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.train import train


def test_a_loaded_target_knows_its_classes(write_config: Callable[..., Path], digits: Path, tmp_path: Path) -> None:
    columns = {"image": "image", "audio": "audio", "text": "question", "answer": "language"}
    data = {s: {"name": "manifest", "path": str(digits / f"{s}.jsonl"), "columns": columns} for s in ("train", "val")}
    sections = {"data": data, "targets": {"answer": {"name": "label"}}, "trainer": {"epochs": 1}}
    train(str(write_config("found", **sections)))  # its report reads the best checkpoint back and labels of val
    target = load_checkpoint(tmp_path / "output" / "found" / "checkpoints" / "best").parts.targets["answer"]
    assert target.labels == ["en", "zh"]
    assert [int(target(label)) for label in target.labels] == [0, 1]
