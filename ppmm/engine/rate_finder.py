"""The learning-rate range test: raise the rate step by step, watch the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
from scipy.signal import savgol_filter

from ppmm.engine.step import DivergenceError
from ppmm.errors import ConfigError
from ppmm.types import Batch

__all__ = ["RateCurve", "groups_of", "range_test", "steepest"]

LEAST = 10
"""Steps without which a curve says nothing."""


@dataclass(frozen=True)
class RateCurve:
    """What a range test saw; ``rates``, ``losses`` and ``smoothed`` [steps] are of the same steps.

    Attributes:
        rates: learning rate of each step.
        losses: training loss before the update of that step.
        smoothed: exponential mean of the losses up to there, without its bias.
        diverged: the rate at which the loss had grown too far or was not finite; None when the test ran to its end.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    diverged: float | None


def groups_of(loader: Any, accumulate: int) -> Iterable[list[Batch]]:
    """Batches of one optimizer step after another; epochs repeat without end. Raises ConfigError when one is empty."""
    for epoch in count():
        batches = loader.epoch(epoch, 0)
        group = list(islice(batches, accumulate))
        if not group:
            raise ConfigError("loader: an epoch has no batch; lower loader.batch_size or leave drop_last out")
        while group:
            yield group
            group = list(islice(batches, accumulate))


def range_test(
    step: Callable[[Sequence[Batch], int], dict[str, float]],
    groups: Iterable[list[Batch]],
    rates: Sequence[float],
    *,
    memory: float = 0.8,
    factor: float = 4.0,
    note: Callable[[int, float, float], None] = lambda number, rate, loss: None,
) -> RateCurve:
    """Update once at each of ``rates``, until the loss diverges.

    It has diverged where it is not finite, or where the smoothed loss exceeds the lowest one so far ``factor`` times
    (Gugger 2018, "How Do You Find A Good Learning Rate", has 4); for losses about 0 or below, by 3 times its size.

    Args:
        step: a `TrainStep` whose schedule gives just these rates.
        groups: the batches of each step, enough of them.
        rates: ascending.
        memory: share of the mean that the next step keeps, 0..1.
        factor: see above.
        note: told the number, rate and loss of each step.
    """
    losses: list[float] = []
    smoothed: list[float] = []
    mean, lowest = 0.0, math.inf
    for number, (group, rate) in enumerate(zip(groups, rates, strict=False)):
        try:
            loss = step(group, number)["loss"]
        except DivergenceError:
            if not losses:
                raise
            return RateCurve(list(rates[:number]), losses, smoothed, rate)
        mean = memory * mean + (1.0 - memory) * loss
        losses.append(loss)
        smoothed.append(mean / (1.0 - memory ** (number + 1)))
        lowest = min(lowest, smoothed[-1])
        note(number, rate, loss)
        if smoothed[-1] > lowest + (factor - 1.0) * max(abs(lowest), 0.05 * abs(losses[0])):
            return RateCurve(list(rates[: number + 1]), losses, smoothed, rate)
    return RateCurve(list(rates[: len(losses)]), losses, smoothed, None)


def steepest(curve: RateCurve) -> float | None:
    """The rate at which the loss falls fastest; None where it does not fall beyond its noise.

    Gugger (2018) takes the rate of the steepest descent of the loss over the logarithm of the rate. The slope at a
    step is that of the least-squares line through the losses around it, a tenth of all steps on either side (Savitzky
    and Golay 1964, first order), which has no lag; losses above the largest of the first ones count as that, and steps
    after the lowest loss do not count at all, so that a diverging end has no say.
    """
    count = len(curve.losses)
    if count < LEAST:
        return None
    half = max(2, count // 10)
    losses = np.asarray(curve.losses)
    losses = np.minimum(losses, losses[:half].max())
    level = savgol_filter(losses, 2 * half + 1, 1)
    slope = savgol_filter(losses, 2 * half + 1, 1, deriv=1)
    lowest = int(np.argmin(level))
    if lowest == 0:
        return None
    noise = float(np.std(losses[: lowest + 1] - level[: lowest + 1]))
    error = noise * math.sqrt(4.0 / (2 * half + 1))  # of the level at an end, where a line is least sure
    if level[0] - level[lowest] <= 4.0 * error:
        return None
    return curve.rates[int(np.argmin(slope[: lowest + 1]))]
