"""Learning-rate schedules: pure functions of the optimizer step, so that resuming needs no state."""

from __future__ import annotations

import math

from ppmm.registry import SCHEDULES

__all__ = ["Constant", "WarmupCosine"]


@SCHEDULES.register("constant")
class Constant:
    """The factor is 1 at every step."""

    def __call__(self, step: int, total_steps: int) -> float:
        return 1.0


@SCHEDULES.register("warmup_cosine")
class WarmupCosine:
    """Linear warm-up, then half a cosine down to ``final`` (Loshchilov and Hutter 2017, equation 5, one cycle).

    Args:
        warmup: share of all steps in which the rate rises, in [0, 1).
        final: factor at the last step.
    """

    def __init__(self, warmup: float = 0.05, final: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup is a share of all steps, in [0, 1); got {warmup}")
        if not 0 <= final <= 1:
            raise ValueError(f"final is a share of the learning rate, in [0, 1]; got {final}")
        self.warmup, self.final = warmup, final

    def __call__(self, step: int, total_steps: int) -> float:
        rising = round(self.warmup * total_steps)
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, total_steps - 1 - rising)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
