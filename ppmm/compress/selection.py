"""Which units go: so many of each group, or the least important ones of the whole model."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ppmm.compress.channels import ANSWER
from ppmm.compress.dependencies import Dependencies, Group, Place, Unit
from ppmm.errors import CompressError
from ppmm.registry import did_you_mean

__all__ = ["Limits", "check_patterns", "select"]


@dataclass(frozen=True)
class Limits:
    """How much may go, and from where.

    ``ratio`` is the share of the units that goes, ``ratios`` another one for the layers that match a pattern (the first
    that matches decides), ``skip`` the layers that are left alone. ``ranking`` takes it from every group (uniform) or
    the least important units of all groups (global), of none more than ``most``. At least ``least`` units of each group
    stay, and what stays is rounded up to a ``multiple``.
    """

    ratio: float | None
    ratios: Mapping[str, float] = field(default_factory=dict)
    skip: Sequence[str] = ()
    ranking: Literal["uniform", "global"] = "uniform"
    most: float = 0.9
    least: int = 1
    multiple: int = 1

    def __post_init__(self) -> None:
        named = {f"ratios.{pattern}": ratio for pattern, ratio in self.ratios.items()}
        if self.ratio is None and not named:
            raise CompressError("ratio: give the share of channels that go, or ratios by layer")
        for name, ratio in {
            **({} if self.ratio is None else {"ratio": self.ratio}),
            **named,
            "most": self.most,
        }.items():
            if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0.0 < ratio < 1.0:
                hint = "; to leave layers alone use skip" if ratio == 0 and name != "most" else ""
                raise CompressError(f"{name}: must be above 0 and below 1, got {ratio}{hint}")
        if self.ranking not in ("uniform", "global"):
            raise CompressError(f"ranking: must be uniform or global, got {self.ranking}")
        if self.least < 1 or self.multiple < 1:
            raise CompressError(f"least and multiple: must be at least 1, got {self.least} and {self.multiple}")

    def at(self, part: float) -> Limits:
        """The same where only a ``part`` (0..1) of the pruning has been done: what stays shrinks by a constant factor
        from one of N equal parts to the next."""
        if part == 1:
            return self
        ratios = {pattern: 1.0 - (1.0 - ratio) ** part for pattern, ratio in self.ratios.items()}
        return replace(self, ratio=None if self.ratio is None else 1.0 - (1.0 - self.ratio) ** part, ratios=ratios)

    def ratio_of(self, group: Group) -> float | None:
        """The share of a group that goes; None where it is left alone."""
        if any(_matches(pattern, group.layers) for pattern in self.skip):
            return None
        return next((ratio for pattern, ratio in self.ratios.items() if _matches(pattern, group.layers)), self.ratio)


def _matches(pattern: str, layers: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(layer, pattern) for layer in layers)


def check_patterns(dependencies: Dependencies, limits: Limits) -> None:
    """Raises CompressError for a pattern that matches no layer, or only layers from which nothing can go."""
    free = {layer for group in dependencies.groups for layer in group.layers}
    fixed = {name.rpartition(".")[0]: reason for (name, _), reason in dependencies.fixed().items()}
    for pattern in [*limits.ratios, *limits.skip]:
        if _matches(pattern, sorted(free)) or (pattern in limits.skip and _matches(pattern, sorted(fixed))):
            continue
        stuck = [layer for layer in fixed if fnmatch.fnmatchcase(layer, pattern)]
        if stuck:
            raise CompressError(_refusal(stuck[0], fixed[stuck[0]], free))
        raise CompressError(f"{pattern}: no layer of this name can be pruned{did_you_mean(pattern, free)}")


def _refusal(layer: str, reason: str, free: set[str]) -> str:
    """Why a layer cannot be pruned, and what can."""
    if reason == ANSWER:
        reason = f"{reason}, so that its size (classes, or the shared embedding) is part of what the model promises"
    some = ", ".join(sorted(free)[:3])
    return f"ratios: nothing can go from {layer}: {reason}; channels can go from {some}, ..."


def select(
    groups: Sequence[Group],
    scores: Sequence[np.ndarray | None],
    limits: Limits,
    units: Mapping[tuple[Place, ...], int] | None = None,
) -> list[Unit]:
    """The units that go, the least important ones first; equal ones in their order.

    ``units`` are those that a group (by its family) had before earlier prunings: shares are shares of them.
    """
    part = [
        (group, score, ratio)
        for group, score in zip(groups, scores, strict=True)
        if score is not None and (ratio := limits.ratio_of(group)) is not None
    ]
    gone = [max(0, (units or {}).get(group.family, 0) - len(group.units)) for group, _, _ in part]
    whole = [len(group.units) + before for (group, _, _), before in zip(part, gone, strict=True)]
    counts = [
        max(0, round(all_of * ratio) - before) for (_, _, ratio), all_of, before in zip(part, whole, gone, strict=True)
    ]
    if limits.ranking == "global":
        most = [max(0, math.floor(all_of * limits.most) - before) for all_of, before in zip(whole, gone, strict=True)]
        total = sum(round(all_of * ratio) for (_, _, ratio), all_of in zip(part, whole, strict=True)) - sum(gone)
        counts = _global_counts([score for _, score, _ in part], max(0, total), most)
    removed = []
    for (group, score, _), count in zip(part, counts, strict=True):
        order = np.argsort(score, kind="stable")[: _allowed(group, count, limits)]
        removed += [group.units[number] for number in order]
    return removed


def _global_counts(scores: Sequence[np.ndarray], total: int, most: Sequence[int]) -> list[int]:
    """How many of each group, ``most`` at most, are among the ``total`` least important ones, in units of their group's
    mean."""
    ranked = []
    for number, (score, limit) in enumerate(zip(scores, most, strict=True)):
        values = np.sort(score)[:limit] / (np.mean(score) or 1.0)
        ranked += [(float(value), number) for value in values]
    chosen = [number for _, number in sorted(ranked)[:total]]
    return [chosen.count(number) for number in range(len(scores))]


def _allowed(group: Group, count: int, limits: Limits) -> int:
    """``count``, or as many units as may go if enough must stay, in a multiple."""
    units = len(group.units)
    stay = max(units - count, min(limits.least, units))
    while stay < units and stay * group.width % limits.multiple:
        stay += 1
    return units - stay
