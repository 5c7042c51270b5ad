"""The figures of a run as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppmm.engine.hooks import HookBase
from ppmm.engine.resources import Pace, memory_figures

__all__ = ["History", "json_value"]


class History(HookBase):
    """One JSON line per ``every`` steps and per epoch in ``history.jsonl``.

    Beside losses and figures: ``samples_per_second`` of the steps since the line before (evaluation does not count),
    ``data_wait``, the share of their time that waited for batches, and the memory (`memory_figures`).

    A resumed run drops the lines after its checkpoint, so that no step stands twice.
    """

    first_process_only = True

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every
        self.sums: dict[str, float] = {}
        self.count = 0

    def on_start(self, trainer: Any) -> None:
        self.pace = Pace(trainer)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _stands(line, trainer.state.step, trainer.state.epoch)]
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def on_step(self, trainer: Any) -> None:
        for name, value in trainer.terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self.pace.count(trainer)
        if trainer.state.step % self.every == 0:
            self._write(trainer, {"train": self._means()})

    def on_epoch(self, trainer: Any) -> None:
        skipped = getattr(getattr(trainer, "loader", None), "skipped", 0)
        counts = {"skipped_rows": skipped} if skipped else {}
        self._write(trainer, {"train": self._means(), "val": trainer.figures, **counts})

    def state_dict(self) -> dict[str, Any]:
        """What the next line is the mean of."""
        return {"sums": dict(self.sums), "count": self.count}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.sums, self.count = dict(saved["sums"]), saved["count"]

    def _means(self) -> dict[str, float]:
        means = {name: value / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def _write(self, trainer: Any, figures: dict[str, Any]) -> None:
        state = trainer.state
        line: dict[str, Any] = {"step": state.step, "epoch": state.epoch, "seconds": round(state.seconds, 3)}
        line["learning_rate"] = trainer.learning_rate
        line |= {**self.pace.read(trainer), **memory_figures()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(json_value({**line, **figures})) + "\n")


def _stands(line: str, step: int, epoch: int) -> bool:
    """Whether a line is of what the checkpoint has: not after its step, nor of an evaluation that it has not seen."""
    try:
        entry = json.loads(line)
        return bool(entry["step"] < step or (entry["step"] == step and ("val" not in entry or entry["epoch"] <= epoch)))
    except (ValueError, KeyError, TypeError):  # a line cut by a kill
        return False


def json_value(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them, at any depth."""
    if isinstance(value, Mapping):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
