"""Structured pruning of any model that can be traced: whole channels, hidden units, heads and embedding columns go,
with all that made or read them, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from paddle import nn

from ppmm.compress.criteria import Evidence, importance
from ppmm.compress.dependencies import Dependencies, Kept, Unit
from ppmm.compress.promises import answers, check_answers, check_gradients, masked_answers, presences
from ppmm.compress.selection import Limits, check_patterns, select
from ppmm.compress.shrink import shrink
from ppmm.compress.sizes import Sizes, changed_sizes, measure_sizes, set_sizes
from ppmm.compress.trace import Sample
from ppmm.errors import CompressError, PpmmError
from ppmm.models.resize import Undo, tensors_of

__all__ = ["Prune", "Pruned"]

FAILURES = (ValueError, TypeError, RuntimeError, IndexError, AttributeError, KeyError, OSError, AssertionError)
"""What Paddle raises where shapes do not fit."""


@dataclass(frozen=True)
class Pruned:
    """What was done.

    Args:
        transform: ``{name, args, shapes}`` for a checkpoint's manifest: ``args`` are those of `Shrunk`, which does the
            same to a freshly built model; ``shapes`` what changed in its state.
        report: JSON: ``flops`` and ``parameters`` before and after, ``groups`` with the units before and after,
            ``fixed`` {layer: why nothing can go from it}, ``unknown`` operations.
    """

    transform: dict[str, Any]
    report: dict[str, Any]


class Prune:
    """Removes a share of the channels of every group of layers that depend on one another.

    Args:
        ratio: share of the units of a group that goes, above 0 and below 1; None where only ``ratios`` say it.
        criterion: what is least important: l1, l2, fpgm, bn_scale, taylor, hessian or random.
        ranking: ``uniform`` takes the share from each group, ``global`` the least important units of the whole model.
        ratios: other shares for layers by pattern (``encoders.image.*``); the first that matches decides.
        skip: patterns of layers that are left alone.
        most: largest share of a group that a global ranking may take.
        least: units of each group that stay.
        multiple: what stays of a group is rounded up to a multiple (8 or 16 for tensor cores).
        normalised: whether channels over which a layer normalisation takes its mean may go too (the width of a
            Transformer, embeddings into a fusion). Its statistics are then those of the channels that stay.
        seed: of the random criterion.

    Raises CompressError for values that make no sense.
    """

    name = "prune"

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
    ) -> None:
        self.limits = Limits(ratio, ratios or {}, skip or [], ranking, most, least, multiple)
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
    ) -> Pruned:
        """Prune ``model`` in place; it is left as it was where that fails.

        Args:
            model: any Layer that can be traced.
            sample: a real batch (or a Tensor) that it is called with, all fields present.
            gradients, squares: see `ppmm.compress.criteria.Evidence`.

        Raises CompressError, naming the layer, where nothing can go or the pruned model does not keep its promises.
        """
        found = Dependencies(model, sample, self.normalised)
        if not found.groups:
            raise CompressError(f"nothing can be pruned: {_why(found)}")
        check_patterns(found, self.limits)
        weights = {name: tensor.numpy().copy() for name, tensor in tensors_of(model).items()}
        evidence = Evidence(weights, gradients or {}, squares or {}, frozenset(found.scales), self.seed)
        scores = importance(found.groups, self.criterion, evidence)
        if all(score is None for score in scores):
            raise CompressError(f"criterion: '{self.criterion}' says nothing about this model; take another one")
        removed = select(found.groups, scores, self.limits)
        if not removed:
            some = ", ".join(f"{len(group.units)} of {group.name}" for group in found.groups[:3])
            raise CompressError(f"nothing is pruned: the ratio is less than one unit of any group ({some})")
        names, old = set(dict(model.named_parameters())), _state(model)
        sizes = self._carry_out(model, sample, found, removed)
        report = {"criterion": self.criterion, **_report(found, removed, names)}
        changed = {name: shape for name, shape in found.shapes(removed).items() if shape != found.shapes()[name]}
        shapes = {name: shape for name, shape in _state(model).items() if shape != old[name]}
        unsaved = {name: kept for name, kept in found.kept(removed).items() if name not in old}
        args = {"tensors": changed, "sizes": sizes, "kept": _indices(unsaved, changed)}
        return Pruned({"name": self.name, "args": args, "shapes": shapes}, report)

    def _carry_out(self, model: nn.Layer, sample: Sample, found: Dependencies, removed: Sequence[Unit]) -> Sizes:
        """Remove units and check the promises; returns the sizes that changed. Raises CompressError."""
        samples = presences(sample)
        before = measure_sizes(model, sample)
        try:
            undo = _cut(model, samples, found, removed)
        except CompressError as error:
            raise CompressError(f"pruning {_culprit(model, samples, found, removed)} failed: {error}") from error
        sizes: Sizes = {}
        try:
            sizes = changed_sizes(model, before, measure_sizes(model, sample))
            set_sizes(model, sizes)
            check_gradients(model, sample)
            _check_plan(model, sample, found, removed, self.normalised)
        except (*FAILURES, PpmmError) as error:
            undo()
            set_sizes(model, {name: before[name] for name in sizes})
            raise CompressError(f"the pruned model does not keep its promises: {error}") from error
        return sizes


def _cut(model: nn.Layer, samples: Sequence[Sample], found: Dependencies, removed: Sequence[Unit]) -> Undo:
    """Remove units and compare with masking them; how to undo it. Raises CompressError; the model is then as it was."""
    kept = found.kept(removed)
    wanted = masked_answers(model, samples, kept, found.norms)
    undo = shrink(model, kept)
    try:
        check_answers(answers(model, samples), wanted)
    except (*FAILURES, CompressError) as error:
        undo()
        raise CompressError(str(error)) from error
    return undo


def _culprit(model: nn.Layer, samples: Sequence[Sample], found: Dependencies, removed: Sequence[Unit]) -> str:
    """The first group that fails by itself."""
    gone = {unit.root for unit in removed}
    for group in found.groups:
        units = [unit for unit in group.units if unit.root in gone]
        try:
            if units:
                _cut(model, samples, found, units)()
        except CompressError:
            return group.name
    return "several groups together"


def _check_plan(
    model: nn.Layer, sample: Sample, found: Dependencies, removed: Sequence[Unit], normalised: bool
) -> None:
    """Raises CompressError where shapes or multiply-adds are not those that were planned, or did not fall."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors_of(model).items()}
    for name, shape in found.shapes(removed).items():
        if shapes[name] != shape:
            raise CompressError(f"{name} is {shapes[name]} and not {shape} as planned")
    planned, real = found.flops(removed), Dependencies(model, sample, normalised).flops()
    if real != planned or not real <= found.flops():
        raise CompressError(f"it computes {real} multiply-adds of {found.flops()}, planned were {planned}")


def _state(model: nn.Layer) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def _indices(kept: Kept, shapes: Mapping[str, list[int]]) -> dict[str, list[Any]]:
    """As JSON: a list of indices for each dimension, None where all stay."""
    return {
        name: [own[place].tolist() if place in own else None for place in range(len(shapes[name]))]
        for name, own in kept.items()
    }


def _report(found: Dependencies, removed: Sequence[Unit], parameters: set[str]) -> dict[str, Any]:
    """JSON; ``parameters`` are the names that count as such."""
    gone = {unit.root for unit in removed}
    whole = found.flops()
    groups = [
        {
            "layers": group.layers,
            "units": len(group.units),
            "kept": sum(unit.root not in gone for unit in group.units),
            "flops_of_one": whole - found.flops([group.units[0]]),
        }
        for group in found.groups
    ]
    return {
        "flops": [whole, found.flops(removed)],
        "parameters": [
            sum(prod(shape) for name, shape in shapes.items() if name in parameters)
            for shapes in (found.shapes(), found.shapes(removed))
        ],
        "groups": groups,
        "fixed": {name: reason for (name, _), reason in found.fixed().items()},
        "unknown": {name: sorted(scopes) for name, scopes in found.unknown.items()},
    }


def _why(found: Dependencies) -> str:
    reasons = [f"{name}: {reason}" for (name, _), reason in found.fixed().items()]
    unknown = [f"there is no rule for {name} in {', '.join(sorted(where))}" for name, where in found.unknown.items()]
    return "; ".join([*unknown, *reasons][:5]) or "no layer makes channels that another one reads"
