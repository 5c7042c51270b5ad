"""Taking units out of a model: it keeps its promises, or is as it was and an error names the layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from paddle import nn

from ppmm.compress.dependencies import Dependencies, Kept, Unit
from ppmm.compress.promises import answers, check_answers, check_gradients, masked_answers, presences
from ppmm.compress.shrink import shrink
from ppmm.compress.sizes import Sizes, changed_sizes, measure_sizes, set_sizes
from ppmm.compress.towers import tower_of
from ppmm.compress.trace import Sample
from ppmm.errors import CompressError, PpmmError
from ppmm.models.resize import Undo, tensors_of

__all__ = ["Pruned", "remove"]

FAILURES = (ValueError, TypeError, RuntimeError, IndexError, AttributeError, KeyError, OSError, AssertionError)
"""What Paddle raises where shapes do not fit."""


@dataclass(frozen=True)
class Pruned:
    """What was done.

    Args:
        transform: ``{name, args, shapes}`` for a checkpoint's manifest: ``args`` are those of `Shrunk`, which does the
            same to a freshly built model; ``shapes`` what changed in its state.
        report: JSON: ``flops`` and ``parameters`` before and after, ``towers`` the same by tower, ``groups`` with the
            units before and after, ``fixed`` {layer: why nothing can go from it}, ``unknown`` operations.
    """

    transform: dict[str, Any]
    report: dict[str, Any]


def remove(model: nn.Layer, sample: Sample, found: Dependencies, removed: Sequence[Unit]) -> Pruned:
    """Take ``removed`` units out of ``model``, in place.

    Args:
        model: in the form that ``found`` was made of.
        sample: a real batch (or a Tensor) that it is called with, all fields present.
        found: what depends on what.
        removed: at least one unit.

    Raises CompressError, naming the layer, where the pruned model does not keep its promises; it is then as it was.
    """
    names, old = set(dict(model.named_parameters())), _state(model)
    sizes = _carry_out(model, sample, found, removed)
    changed = {name: shape for name, shape in found.shapes(removed).items() if shape != found.shapes()[name]}
    shapes = {name: shape for name, shape in _state(model).items() if shape != old[name]}
    unsaved = {name: kept for name, kept in found.kept(removed).items() if name not in old}
    args = {"tensors": changed, "sizes": sizes, "kept": _indices(unsaved, changed)}
    return Pruned({"name": "prune", "args": args, "shapes": shapes}, _report(found, removed, names))


def _carry_out(model: nn.Layer, sample: Sample, found: Dependencies, removed: Sequence[Unit]) -> Sizes:
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
        _check_plan(model, sample, found, removed)
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


def _check_plan(model: nn.Layer, sample: Sample, found: Dependencies, removed: Sequence[Unit]) -> None:
    """Raises CompressError where shapes or multiply-adds are not those that were planned, or did not fall."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors_of(model).items()}
    for name, shape in found.shapes(removed).items():
        if shapes[name] != shape:
            raise CompressError(f"{name} is {shapes[name]} and not {shape} as planned")
    planned, real = found.flops(removed), Dependencies(model, sample, found.normalised).flops()
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
    counts = [_parameters(shapes, parameters) for shapes in (found.shapes(), found.shapes(removed))]
    flops = [found.flops_by_tower(), found.flops_by_tower(removed)]
    return {
        "flops": [whole, found.flops(removed)],
        "parameters": [sum(count.values()) for count in counts],
        "towers": {
            tower: {"flops": [part.get(tower, 0) for part in flops], "parameters": [part[tower] for part in counts]}
            for tower in counts[0]
        },
        "groups": groups,
        "fixed": {name: reason for (name, _), reason in found.fixed().items()},
        "unknown": {name: sorted(scopes) for name, scopes in found.unknown.items()},
    }


def _parameters(shapes: Mapping[str, list[int]], names: set[str]) -> dict[str, int]:
    """Numbers in the parameters ``names``, by tower."""
    found: dict[str, int] = {}
    for name, shape in shapes.items():
        if name in names:
            found[tower_of(name)] = found.get(tower_of(name), 0) + prod(shape)
    return found
