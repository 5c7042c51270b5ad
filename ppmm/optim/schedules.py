"""Learning-rate schedules: pure functions of the optimizer step, so that resuming needs no state."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppmm.optim.warm_up import WarmUp
from ppmm.registry import SCHEDULES

__all__ = ["Constant", "CosineRestarts", "Linear", "MultiStep", "OneCycle", "Polynomial", "WarmupCosine"]


@SCHEDULES.register("constant")
class Constant:
    """The factor is 1 at every step after the warm-up, which it has none of unless asked for.

    Args:
        warmup: share of all steps in which the rate rises, in [0, 1).
        warmup_steps: the same as a number of steps.
    """

    def __init__(self, warmup: float | None = None, warmup_steps: int | None = None) -> None:
        self.warm_up = WarmUp(warmup, warmup_steps)

    def __call__(self, step: int, total_steps: int) -> float:
        rising = self.warm_up.factor(step, total_steps)
        return 1.0 if rising is None else rising


@SCHEDULES.register("warmup_cosine")
class WarmupCosine:
    """Linear warm-up, then half a cosine down to ``final`` (Loshchilov and Hutter 2017, equation 5, one cycle).

    Args:
        warmup: share of all steps in which the rate rises, in [0, 1); 0.05 when neither is given.
        final: factor at the last step.
        warmup_steps: the warm-up as a number of steps.
    """

    def __init__(self, warmup: float | None = None, final: float = 0.0, warmup_steps: int | None = None) -> None:
        self.warm_up = WarmUp(warmup, warmup_steps, usual=0.05)
        self.final = _share("final", final)

    def __call__(self, step: int, total_steps: int) -> float:
        rising = self.warm_up.factor(step, total_steps)
        if rising is not None:
            return rising
        return _cosine(1.0, self.final, self.warm_up.progress(step, total_steps))


@SCHEDULES.register("polynomial")
class Polynomial:
    """Linear warm-up, then ``final + (1 - final) (1 - progress)^power``.

    The "poly" policy of Chen et al. 2017 (DeepLab, section 4.1.1) with its power; 1 is `Linear`.

    Args:
        power: above 1 falls faster at first, below 1 faster at the end.
        warmup: share of all steps in which the rate rises, in [0, 1); 0.05 when neither is given.
        final: factor at the last step.
        warmup_steps: the warm-up as a number of steps.
    """

    def __init__(
        self, power: float = 0.9, warmup: float | None = None, final: float = 0.0, warmup_steps: int | None = None
    ) -> None:
        if not 0 < power < math.inf:
            raise ValueError(f"power must be above 0 and finite, got {power}")
        self.warm_up = WarmUp(warmup, warmup_steps, usual=0.05)
        self.power = power
        self.final = _share("final", final)

    def __call__(self, step: int, total_steps: int) -> float:
        rising = self.warm_up.factor(step, total_steps)
        if rising is not None:
            return rising
        left = 1.0 - self.warm_up.progress(step, total_steps)
        return self.final + (1.0 - self.final) * left**self.power


@SCHEDULES.register("linear")
class Linear(Polynomial):
    """Linear warm-up, then a straight line down to ``final`` (the schedule of BERT; Devlin et al. 2019, appendix A.2).

    Args:
        warmup: share of all steps in which the rate rises, in [0, 1); 0.05 when neither is given.
        final: factor at the last step.
        warmup_steps: the warm-up as a number of steps.
    """

    def __init__(self, warmup: float | None = None, final: float = 0.0, warmup_steps: int | None = None) -> None:
        super().__init__(1.0, warmup, final, warmup_steps)


@SCHEDULES.register("multi_step")
class MultiStep:
    """Linear warm-up, then 1, multiplied by ``factor`` at each milestone (He et al. 2016, section 4.2).

    Args:
        milestones: shares of all steps, rising, in (0, 1), so that they move with the length of the training.
        factor: on the rate from each milestone on, in (0, 1).
        warmup: share of all steps in which the rate rises, in [0, 1); none when neither is given.
        warmup_steps: the warm-up as a number of steps.
    """

    def __init__(
        self,
        milestones: Sequence[float] = (0.5, 0.75),
        factor: float = 0.1,
        warmup: float | None = None,
        warmup_steps: int | None = None,
    ) -> None:
        marks = list(milestones)
        if not marks or marks != sorted(set(marks)) or not all(0 < mark < 1 for mark in marks):
            raise ValueError(f"milestones are rising shares of all steps between 0 and 1, got {marks}")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be between 0 and 1, got {factor}")
        self.warm_up = WarmUp(warmup, warmup_steps)
        self.milestones, self.factor = marks, factor

    def __call__(self, step: int, total_steps: int) -> float:
        rising = self.warm_up.factor(step, total_steps)
        passed = sum(step >= max(1, round(mark * total_steps)) for mark in self.milestones)
        return (1.0 if rising is None else rising) * self.factor**passed


@SCHEDULES.register("cosine_restarts")
class CosineRestarts:
    """Linear warm-up, then cosines from 1 towards ``final`` (SGDR; Loshchilov and Hutter 2017, equation 5).

    In cycle i of T_i steps the factor is final + (1 - final) (1 + cos(pi t / T_i)) / 2 at step t = 0 ... T_i - 1.

    Args:
        cycles: how many; they fill the steps after the warm-up.
        growth: a cycle is so many times as long as the one before it (T_mult); at least 1.
        warmup: share of all steps in which the rate rises, in [0, 1); none when neither is given.
        final: factor that the end of a cycle comes near to.
        warmup_steps: the warm-up as a number of steps.
    """

    def __init__(
        self,
        cycles: int = 3,
        growth: float = 2.0,
        warmup: float | None = None,
        final: float = 0.0,
        warmup_steps: int | None = None,
    ) -> None:
        if cycles < 1:
            raise ValueError(f"cycles must be at least 1, got {cycles}")
        if not 1 <= growth < math.inf:
            raise ValueError(f"growth must be at least 1 and finite, got {growth}")
        self.warm_up = WarmUp(warmup, warmup_steps)
        self.lengths = [growth**cycle for cycle in range(cycles)]
        self.final = _share("final", final)

    def __call__(self, step: int, total_steps: int) -> float:
        rising = self.warm_up.factor(step, total_steps)
        if rising is not None:
            return rising
        first = self.warm_up.length(total_steps)
        unit = max(1, total_steps - first) / sum(self.lengths)
        begun = first
        for number in range(len(self.lengths)):
            end = first + round(unit * sum(self.lengths[: number + 1]))
            if begun <= step < end:
                return _cosine(1.0, self.final, (step - begun) / (end - begun))
            begun = end
        return self.final


@SCHEDULES.register("one_cycle")
class OneCycle:
    """Up from ``start`` and down to ``final``, both along half a cosine.

    The 1cycle policy of Smith and Topin 2018 ("Super-convergence") in the two-phase form of fastai and of Paddle's
    OneCycleLR; the momentum stays as it is. ``optimizer.learning_rate`` is its peak: a rate that a learning-rate finder
    gives.

    Args:
        warmup: share of all steps in which the rate rises, in [0, 1); 0.3 when neither is given.
        start: factor at the first step.
        final: factor at the last step.
        warmup_steps: the rise as a number of steps.
    """

    def __init__(
        self,
        warmup: float | None = None,
        start: float = 0.04,
        final: float = 0.0,
        warmup_steps: int | None = None,
    ) -> None:
        self.warm_up = WarmUp(warmup, warmup_steps, usual=0.3)
        if not 0 < start <= 1:
            raise ValueError(f"start is a share of the learning rate, in (0, 1]; got {start}")
        self.start, self.final = start, _share("final", final)

    def __call__(self, step: int, total_steps: int) -> float:
        last = self.warm_up.length(total_steps) - 1  # the step at the peak
        if step <= last:
            return _cosine(self.start, 1.0, step / last) if last else 1.0
        last = max(0, last)
        return _cosine(1.0, self.final, min(1.0, (step - last) / max(1, total_steps - 1 - last)))


def _cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine from ``start`` at progress 0 to ``end`` at 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share of the learning rate, in [0, 1]; got {value}")
    return value
