"""Averages of the weights over the optimizer steps: pure functions of the step, like schedules."""

from __future__ import annotations

from ppmm.registry import AVERAGES

__all__ = ["EMA", "SWA"]


@AVERAGES.register("ema")
class EMA:
    """Exponential moving average: A = d A + (1 - d) W after every step (Polyak and Juditsky 1992, with weights).

    The decay rises with the n weights that are in A: d = min(decay, (1 + n) / (10 + n)), so that a young average is
    not mostly the weights of the first step. Batch statistics are averaged like the weights.

    Args:
        decay: 0.999 looks back about 1000 steps; take less for short runs.
        warmup: whether the decay rises; else it is the same from the second step on.
    """

    norm_batches = 0

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay must be above 0 and below 1, got {decay}")
        self.decay, self.warmup = decay, warmup

    def share(self, step: int, total_steps: int, taken: int, ended: bool) -> float:
        rising = (1 + taken) / (10 + taken)
        return 1.0 - (min(self.decay, rising) if self.warmup else self.decay)


@AVERAGES.register("swa")
class SWA:
    """Stochastic weight averaging: the equal mean of weights from the last part of training (Izmailov et al. 2018).

    Batch statistics of an average are not the average of the statistics: algorithm 1 of the paper computes them anew.

    Args:
        start: share of all steps after which weights are taken in, in [0, 1); before, the last weights are evaluated.
        every: steps between two weights that are taken in; those at the end of each epoch when null.
        norm_batches: training batches from which batch statistics are computed before each evaluation; with 0 they
            are averaged like the weights. A model without batch norms needs none and reads none.
    """

    def __init__(self, start: float = 0.75, every: int | None = None, norm_batches: int = 50) -> None:
        if not 0 <= start < 1:
            raise ValueError(f"start is a share of all steps, in [0, 1); got {start}")
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1 step, got {every}")
        if norm_batches < 0:
            raise ValueError(f"norm_batches must not be negative, got {norm_batches}")
        self.start, self.every, self.norm_batches = start, every, norm_batches

    def share(self, step: int, total_steps: int, taken: int, ended: bool) -> float:
        due = ended if self.every is None else step % self.every == 0
        return 1.0 / (taken + 1) if due and step > self.start * total_steps else 0.0
