"""The learning rate of a range test."""

from __future__ import annotations

from ppmm.registry import SCHEDULES

__all__ = ["ExponentialRamp"]


@SCHEDULES.register("exponential_ramp")
class ExponentialRamp:
    """Up to the learning rate in equal ratios: start^(1 - n / (N - 1)) at step n of N.

    Smith's range test (2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3) with equal ratios in
    place of equal differences; ``tools/find.py lr`` runs it. It is no schedule to train with.

    Args:
        start: factor at the first step, in (0, 1).
    """

    def __init__(self, start: float = 1e-6) -> None:
        if not 0 < start < 1:
            raise ValueError(f"start is a share of the learning rate, in (0, 1); got {start}")
        self.start = start

    def __call__(self, step: int, total_steps: int) -> float:
        done = min(1.0, step / (total_steps - 1)) if total_steps > 1 else 1.0
        return float(self.start ** (1.0 - done))
