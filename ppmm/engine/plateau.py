"""A smaller learning rate where the monitored figure does not improve any more."""

from __future__ import annotations

import math
from typing import Any

from ppmm.engine.hooks import HookBase
from ppmm.registry import HOOKS

__all__ = ["ReduceOnPlateau"]


@HOOKS.register("reduce_on_plateau")
class ReduceOnPlateau(HookBase):
    """Multiplies the learning rate by ``factor`` when the monitored figure has not improved for ``patience`` epochs.

    The scale multiplies what the schedule says (``constant`` where nothing else is wanted), and is resumed with the
    run. ``trainer.monitor`` and ``trainer.mode`` tell what improves; a NaN does not.

    Args:
        patience: epochs without improvement after which the rate falls; at least 1, and less than that of
            early_stopping, if that is used too.
        factor: on the rate, between 0 and 1.
        min_delta: improvements no larger than this do not count.
        cooldown: epochs after a reduction in which nothing is counted.
        floor: smallest scale that reductions lead to, as a share of the schedule's rate.
    """

    only_one = True

    def __init__(
        self, patience: int, factor: float = 0.1, min_delta: float = 0.0, cooldown: int = 0, floor: float = 0.0
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be between 0 and 1, got {factor}")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"min_delta must be finite and not negative, got {min_delta}")
        if cooldown < 0:
            raise ValueError(f"cooldown must not be negative, got {cooldown}")
        if not 0 <= floor < 1:
            raise ValueError(f"floor is a share of the learning rate, in [0, 1); got {floor}")
        self.patience, self.factor, self.min_delta = patience, factor, min_delta
        self.cooldown, self.floor = cooldown, floor
        self.best: float | None = None
        self.waited = self.cooling = 0
        self.scale = 1.0

    def on_start(self, trainer: Any) -> None:
        trainer.step.scheduler.scale = self.scale

    def on_epoch(self, trainer: Any) -> None:
        value = trainer.figures[trainer.monitor]
        if trainer.is_better(value, float("nan") if self.best is None else self.best, self.min_delta):
            self.best, self.waited = value, 0
        elif self.cooling == 0:
            self.waited += 1
        self.cooling = max(0, self.cooling - 1)
        if self.waited >= self.patience:
            self.scale = max(self.floor, self.scale * self.factor)
            self.waited, self.cooling = 0, self.cooldown
            trainer.step.scheduler.scale = self.scale

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "cooling": self.cooling, "scale": self.scale}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.best, self.waited = saved["best"], saved["waited"]
        self.cooling, self.scale = saved["cooling"], saved["scale"]
