"""A case of the matrix through the chain of compression: pruned, trained on, trained in 8 bits, exported as INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matrix_cases import Case
from matrix_run import SyntheticRows, experiment_of

from ppmm.app.compress import compress
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.config import dump
from ppmm.runtime import Predictor

__all__ = ["STEPS", "assert_compresses"]

TRAINED = 20
"""Optimizer steps before pruning, and after it."""
STEPS = [
    {"name": "prune", "ratio": 0.3},
    {"name": "finetune", "epochs": TRAINED, "max_steps": TRAINED},
    {"name": "qat", "epochs": 10, "max_steps": 10, "learning_rate": 0.001, "calibrate": 21},
]


def assert_compresses(case: Case, rows: SyntheticRows, folder: Path, bert: Path | None) -> dict[str, Any]:
    """Each step says what it did, the bundle is INT8 and answers as the checkpoint. Returns the steps' documents.

    Raises AssertionError or the PpmmError of what went wrong.
    """
    tree = experiment_of(case, rows, folder, bert)
    tree["trainer"] |= {"epochs": TRAINED, "max_steps": TRAINED}
    path = folder / "case.yaml"
    path.write_text(dump({**tree, "compress": STEPS}), encoding="utf-8")
    train(str(path))
    report = compress(str(path), str(folder / "case" / "checkpoints" / "last"), out=str(folder / "small"))
    pruned, tuned, rounded = report["steps"]
    assert pruned["report"]["parameters"][1] < pruned["report"]["parameters"][0]
    assert pruned["report"]["flops"][1] <= pruned["report"]["flops"][0]
    assert tuned["report"]["steps"] == TRAINED and tuned["parameters"] == pruned["parameters"]
    assert rounded["report"]["int8"], "no layer was trained in 8 bits"
    gate = export_checkpoint(str(folder / "small" / "checkpoint"), str(folder / "bundle"))
    assert gate["precision"] == "int8" and gate["min_cosine"] >= gate["least_cosine"]
    done = {layer["name"] for layer in gate["quantisation"]["main"]["layers"] if layer["precision"] == "int8"}
    assert done, "no operator of the graph is INT8"
    assert Predictor(folder / "bundle").graph is not None
    return report
