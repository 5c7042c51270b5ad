"""The ratio that takes a wanted share of a model's multiply-adds away."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ppmm.compress.dependencies import Dependencies, Place
from ppmm.compress.selection import Limits, select
from ppmm.errors import CompressError

__all__ = ["check_share", "limits_for_flops", "smallest"]

STEPS = 24
"""Of the bisection: more than there are units to tell apart."""


def check_share(name: str, share: float | None) -> None:
    """Raises CompressError unless it is None or above 0 and below 1."""
    if share is None:
        return
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
        raise CompressError(
            f"{name}: must be above 0 and below 1, the share of the multiply-adds that goes; got {share}"
        )


def smallest(saved: Callable[[float], float], wanted: float, most: float) -> float | None:
    """The smallest value up to ``most`` from which on ``saved`` (which never falls) is ``wanted``; None where it is
    never."""
    if saved(most) < wanted:
        return None
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if saved(middle) >= wanted else (middle, high)
    return high


def limits_for_flops(
    found: Dependencies,
    scores: Sequence[np.ndarray | None],
    limits: Limits,
    share: float,
    units: Mapping[tuple[Place, ...], int] | None = None,
    whole: int | None = None,
) -> Limits:
    """``limits`` with the smallest ratio (none above ``limits.most``) that takes ``share`` of ``whole`` away.

    Args:
        found: what can go now.
        scores: importance of the units of its groups.
        limits: everything but the ratio; layers with ``ratios`` of their own keep these.
        share: of the multiply-adds, above 0 and below 1.
        units: see `select`.
        whole: multiply-adds before earlier prunings; those of now when None.

    Raises CompressError that says how much can go at most.
    """
    start = found.flops() if whole is None else whole

    def saved(ratio: float) -> float:
        if ratio <= 0:
            return 1.0 - found.flops() / start
        removed = select(found.groups, scores, replace(limits, ratio=ratio), units)
        return 1.0 - found.flops(removed) / start

    ratio = smallest(saved, share, limits.most)
    if ratio is None:
        best = math.floor(1000 * saved(limits.most)) / 1000
        raise CompressError(
            f"flops: {share} is out of reach: {best} of the multiply-adds go at most, with {limits.most} of each group "
            "that can be pruned; take less, raise most, lower least or multiple, skip less, or allow normalised"
        )
    return replace(limits, ratio=ratio)
