"""The learning rate at a step: base rate x factor of the schedule x scale of a hook."""

from __future__ import annotations

from collections.abc import Callable

import paddle

__all__ = ["ScheduledRate"]


class ScheduledRate(paddle.optimizer.lr.LRScheduler):  # type: ignore[misc]
    """A paddle scheduler whose rate at step n is ``base_lr * factor(n) * scale``.

    Args:
        rate: the base learning rate.
        factor: the schedule, a pure function of the step.

    Attributes:
        scale: set by what depends on figures of the run, such as the hook `reduce_on_plateau`, which also saves it; 1
            otherwise.
    """

    def __init__(self, rate: float, factor: Callable[[int], float]) -> None:
        self.factor = factor
        self.scale = 1.0
        super().__init__(rate)

    def get_lr(self) -> float:
        return float(self.base_lr * self.factor(self.last_epoch)) * self.scale
