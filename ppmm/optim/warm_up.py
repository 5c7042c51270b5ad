"""The rise of the learning rate at the start of training, which the schedules share."""

from __future__ import annotations

__all__ = ["WarmUp"]


class WarmUp:
    """Linear warm-up (Goyal et al. 2017, section 2.2): at step n of w the factor is (n + 1) / w.

    Args:
        share: of all steps, in [0, 1); None takes ``usual``.
        steps: a number of steps instead of a share.
        usual: the share where neither is given.

    Raises ValueError for both at once and for values outside their ranges.
    """

    def __init__(self, share: float | None, steps: int | None, usual: float = 0.0) -> None:
        if share is not None and steps is not None:
            raise ValueError(f"warmup is {share} and warmup_steps is {steps}: give one of them, a share or a number")
        if share is not None and not 0 <= share < 1:
            raise ValueError(f"warmup is a share of all steps, in [0, 1); got {share}; warmup_steps takes a number")
        if steps is not None and steps < 0:
            raise ValueError(f"warmup_steps must not be negative, got {steps}")
        self.share = usual if share is None else share
        self.steps = steps

    def length(self, total_steps: int) -> int:
        """Steps in which the rate rises. Raises ValueError when no step of the training would be left after them."""
        if self.steps is None:
            return round(self.share * total_steps)
        if self.steps and self.steps >= total_steps:
            raise ValueError(
                f"warmup_steps is {self.steps}, but the training has only {total_steps} steps; lower warmup_steps, "
                "give a share (warmup: 0.05), or train longer (trainer.epochs, trainer.max_steps)"
            )
        return self.steps

    def factor(self, step: int, total_steps: int) -> float | None:
        """The factor at a step of the rise; None after it."""
        rising = self.length(total_steps)
        return (step + 1) / rising if step < rising else None

    def progress(self, step: int, total_steps: int) -> float:
        """How much of what comes after the rise is done: 0 at its first step, 1 at the last one and beyond."""
        rising = self.length(total_steps)
        return min(1.0, (step - rising) / max(1, total_steps - 1 - rising))
