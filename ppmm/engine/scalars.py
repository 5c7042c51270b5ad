"""Scalars for VisualDL."""

from __future__ import annotations

import math
from typing import Any

from ppmm.engine.hooks import HookBase
from ppmm.registry import HOOKS

__all__ = ["Scalars"]


@HOOKS.register("scalars")
class Scalars(HookBase):
    """VisualDL scalars under ``<run>/scalars``: loss and learning rate by step, figures of the validation by epoch.

    Args:
        every: steps between two points.
    """

    first_process_only = True

    def __init__(self, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.every = every
        self.writer: Any = None

    def on_start(self, trainer: Any) -> None:
        from visualdl import LogWriter

        self.writer = LogWriter(str(trainer.folder / "scalars"))

    def on_step(self, trainer: Any) -> None:
        step = trainer.state.step
        if step % self.every:
            return
        for name, value in trainer.terms.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self.writer.add_scalar("learning_rate", trainer.learning_rate, step)

    def on_epoch(self, trainer: Any) -> None:
        for name, value in trainer.figures.items():
            if math.isfinite(value):
                self.writer.add_scalar(f"val/{name}", value, trainer.state.step)

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        if self.writer is not None:
            self.writer.close()
