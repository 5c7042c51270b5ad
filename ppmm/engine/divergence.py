"""What a run leaves when its loss or a gradient is not finite, so that a replay can look at that very step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.engine.history import json_value
from ppmm.engine.hooks import HookBase
from ppmm.engine.step import DivergenceError
from ppmm.engine.weights import trained_parameters
from ppmm.errors import PpmmError

__all__ = ["DIVERGED", "DIVERGENCE", "DivergenceRecord"]

DIVERGENCE = "divergence.json"
DIVERGED = "diverged"
"""Name of the checkpoint of the state before the step."""


class DivergenceRecord(HookBase):
    """On a loss or gradient that is not finite writes ``divergence.json`` and the checkpoint ``diverged``.

    Weights, optimizer and position are those before the step. Buffers are not: the forward pass that found out has
    updated running statistics, which the forward pass of a replay in training mode does not read.

    Args:
        folder: of the run.
        save: writes the checkpoint of that name.
    """

    first_process_only = True

    def __init__(self, folder: Path, save: Callable[[str, Any], None]) -> None:
        self.folder = folder
        self.save = save

    def on_start(self, trainer: Any) -> None:
        (self.folder / DIVERGENCE).unlink(missing_ok=True)  # of an earlier session, which is trained over again

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        if not isinstance(error, DivergenceError):
            return
        try:
            self.save(DIVERGED, trainer)
            text = json.dumps(json_value(_document(trainer, error)), indent=1, ensure_ascii=False)
            (self.folder / DIVERGENCE).write_text(text, encoding="utf-8")
        except (PpmmError, OSError) as problem:
            print(f"the state before the divergence was not saved: {problem}", file=sys.stderr)
        else:
            print(f"to see where it comes from: python tools/replay.py {self.folder}", file=sys.stderr)


def _document(trainer: Any, error: DivergenceError) -> dict[str, Any]:
    """What ``divergence.json`` holds.

    ``step``; ``epoch`` and, within it, ``batch``, the first of the step's ``batches``; ``rows`` with the pass that
    seeds their augmentation; ``terms``; ``seed``; ``processes``; ``gradients`` that were not finite; ``not_finite``,
    the weights that were not even before the step.
    """
    state, step = trainer.state, trainer.step
    parameters = trained_parameters(step.model, step.objective)
    return {
        "step": error.step,
        "epoch": state.epoch,
        "batch": state.batch,
        "batches": len(trainer.batches),
        "rows": _keys(trainer, error.rows),
        "terms": error.terms,
        "seed": step.seed,
        "processes": step.processes.world,
        "gradients": error.gradients,
        "not_finite": [name for name, tensor in parameters if not np.isfinite(_numbers(tensor)).all()],
    }


def _keys(trainer: Any, rows: Sequence[int]) -> list[dict[str, int | None]]:
    """Each row with its pass; the pass is None where the loader put another row in a bad one's place."""
    state, loader = trainer.state, trainer.loader
    known: list[tuple[int, int]] = []
    if hasattr(loader, "batches"):
        batches = loader.batches(state.epoch)[state.batch : state.batch + len(trainer.batches)]
        known = [(number, row) for keys in batches for number, row in keys.tolist()]
    found: list[dict[str, int | None]] = []
    for row in rows:
        key = next((key for key in known if key[1] == row), None)
        if key is not None:
            known.remove(key)  # a row that comes twice has another pass the second time
        found.append({"pass": None if key is None else key[0], "row": row})
    return found


def _numbers(tensor: Any) -> np.ndarray:
    array: np.ndarray = tensor.detach().astype("float32").numpy()
    return array
