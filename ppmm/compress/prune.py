"""Structured pruning of any model that can be traced: whole channels, hidden units, heads and embedding columns go,
with all that made or read them, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from paddle import nn

from ppmm.compress.criteria import Evidence, importance
from ppmm.compress.dependencies import Dependencies, Place
from ppmm.compress.flops_target import check_share, limits_for_flops
from ppmm.compress.removal import Pruned, remove
from ppmm.compress.selection import Limits, check_patterns, select
from ppmm.compress.trace import Sample
from ppmm.errors import CompressError
from ppmm.models.resize import tensors_of

__all__ = ["NothingPrunedError", "Progress", "Prune", "Pruned", "why_nothing"]

PLACEHOLDER = 0.5
"""Ratio of limits whose ratio is still to be searched."""


class NothingPrunedError(CompressError):
    """The share is less than one unit of any group."""


class Progress(NamedTuple):
    """How far a pruning in several rounds is.

    Args:
        part: of all that shall go, what is gone after this round: 0..1.
        units: of each group (by its family) before the first round.
        flops: multiply-adds before the first round.
    """

    part: float
    units: Mapping[tuple[Place, ...], int]
    flops: int

    @classmethod
    def begin(cls, found: Dependencies, part: float) -> Progress:
        """Of the first round."""
        return cls(part, {group.family: len(group.units) for group in found.groups}, found.flops())


class Prune:
    """Removes a share of the channels of every group of layers that depend on one another.

    Args:
        ratio: share of the units of a group that goes, above 0 and below 1; None where only ``ratios`` or ``flops`` say
            it.
        criterion: what is least important: l1, l2, fpgm, bn_scale, taylor, hessian or random.
        ranking: ``uniform`` takes the share from each group, ``global`` the least important units of the whole model.
        ratios: other shares for layers by pattern (``encoders.image.*``); the first that matches decides.
        skip: patterns of layers that are left alone.
        most: largest share of a group that a global ranking, or the search for ``flops``, may take.
        least: units of each group that stay.
        multiple: what stays of a group is rounded up to a multiple (8 or 16 for tensor cores).
        normalised: whether channels over which a layer normalisation takes its mean may go too (the width of a
            Transformer, embeddings into a fusion). Its statistics are then those of the channels that stay.
        seed: of the random criterion.
        flops: share of the multiply-adds that goes, in place of ``ratio``, which is then searched for.

    Raises CompressError for values that make no sense.
    """

    def __init__(
        self,
        ratio: float | None = None,
        criterion: str = "l1",
        ranking: Literal["uniform", "global"] = "uniform",
        ratios: dict[str, float] | None = None,
        skip: list[str] | None = None,
        most: float = 0.9,
        least: int = 1,
        multiple: int = 1,
        normalised: bool = False,
        seed: int = 0,
        flops: float | None = None,
    ) -> None:
        check_share("flops", flops)
        if flops is not None and ratio is not None:
            raise CompressError("ratio and flops: give one of them; flops searches for the ratio")
        start = PLACEHOLDER if flops is not None else ratio
        self.limits = Limits(start, ratios or {}, skip or [], ranking, most, least, multiple)
        self.flops = flops
        self.criterion = criterion
        self.normalised = normalised
        self.seed = seed
        importance([], criterion, Evidence({}, {"": np.zeros(0)}))

    def apply(
        self,
        model: nn.Layer,
        sample: Sample,
        gradients: Mapping[str, np.ndarray] | None = None,
        squares: Mapping[str, np.ndarray] | None = None,
        progress: Progress | None = None,
        found: Dependencies | None = None,
    ) -> Pruned:
        """Prune ``model`` in place; it is left as it was where that fails.

        Args:
            model: any Layer that can be traced.
            sample: a real batch (or a Tensor) that it is called with, all fields present.
            gradients, squares: see `ppmm.compress.criteria.Evidence`.
            progress: of which of several rounds this is one; the only one when None.
            found: the dependencies of the model as it is, where they are known already.

        Raises CompressError, naming the layer, where nothing can go or the pruned model does not keep its promises,
        NothingPrunedError where the share is less than a unit.
        """
        found = Dependencies(model, sample, self.normalised) if found is None else found
        if not found.groups:
            raise CompressError(f"nothing can be pruned: {why_nothing(found)}")
        check_patterns(found, self.limits)
        weights = {name: tensor.numpy().copy() for name, tensor in tensors_of(model).items()}
        evidence = Evidence(weights, gradients or {}, squares or {}, frozenset(found.scales), self.seed)
        scores = importance(found.groups, self.criterion, evidence)
        if all(score is None for score in scores):
            raise CompressError(f"criterion: '{self.criterion}' says nothing about this model; take another one")
        progress = Progress.begin(found, 1.0) if progress is None else progress
        limits = self._limits_now(found, scores, progress)
        removed = select(found.groups, scores, limits, progress.units)
        if not removed:
            raise NothingPrunedError(f"nothing is pruned: {_too_little(found, limits)}")
        pruned = remove(model, sample, found, removed)
        searched = {} if self.flops is None else {"ratio": limits.ratio}
        return replace(pruned, report={"criterion": self.criterion, **searched, **pruned.report})

    def _limits_now(self, found: Dependencies, scores: Sequence[np.ndarray | None], progress: Progress) -> Limits:
        """What goes in this round. Raises CompressError where the share of the last one is out of reach."""
        limits = self.limits.at(progress.part)
        if self.flops is None:
            return limits
        limits_for_flops(found, scores, self.limits, self.flops, progress.units, progress.flops)
        share = 1.0 - (1.0 - self.flops) ** progress.part
        return limits_for_flops(found, scores, limits, share, progress.units, progress.flops)


def _too_little(found: Dependencies, limits: Limits) -> str:
    some = ", ".join(f"{len(group.units)} of {group.name}" for group in found.groups[:3])
    stays = "" if limits.least == limits.multiple == 1 else ", or least and multiple keep all of them"
    return f"the ratio is less than one unit of any group ({some}){stays}"


def why_nothing(found: Dependencies) -> str:
    """Why no group of layers can be pruned."""
    reasons = [f"{name}: {reason}" for (name, _), reason in found.fixed().items()]
    unknown = [f"there is no rule for {name} in {', '.join(sorted(where))}" for name, where in found.unknown.items()]
    return "; ".join([*unknown, *reasons][:5]) or "no layer makes channels that another one reads"
