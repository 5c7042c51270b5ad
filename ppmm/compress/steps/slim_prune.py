"""PaddleSlim's filter pruners as a step: they choose filters of convolution towers, and the whole model follows."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

import numpy as np
from paddle import nn

from ppmm.compress.context import Compressed, Context
from ppmm.compress.dependencies import Dependencies, Unit
from ppmm.compress.removal import remove
from ppmm.compress.selection import Limits
from ppmm.compress.slim_filters import PRUNERS, Criterion, tower_inputs, unwanted_filters
from ppmm.errors import CompressError
from ppmm.registry import COMPRESSORS, did_you_mean

__all__ = ["SlimPrune"]


@COMPRESSORS.register("slim_prune")
class SlimPrune:
    """L1NormFilterPruner or FPGMFilterPruner of PaddleSlim on the convolutions of one or several towers.

    PaddleSlim is shown one tower at a time, with real tensors, and says which filters go. ppmm cuts them from the whole
    model by its own dependency graph, so that a fusion's input follows a narrower embedding, and checks what `prune`
    checks: multiply-adds fall as planned, forward and backward run for every set of fields, and answers are those with
    the same filters at zero.

    Args:
        tower: a field (``image``), or a pattern of layers (``encoders.*``); of nested ones the outermost.
        ratio: share of the filters of each group of convolutions, above 0 and below 1.
        criterion: ``l1`` (Li et al. 2017) or ``fpgm`` (He et al. 2019).
        leaves: whether a tower's last convolutions, which make its embedding, lose filters too.
        normalised: whether channels over which a layer normalisation takes its mean may go; most fusions normalise the
            embeddings, so that ``leaves`` without it changes nothing there.

    Raises CompressError for values that make no sense.
    """

    def __init__(
        self,
        tower: str,
        ratio: float = 0.5,
        criterion: Criterion = "l1",
        leaves: bool = False,
        normalised: bool = False,
    ) -> None:
        Limits(ratio)
        if criterion not in PRUNERS:
            raise CompressError(f"criterion: PaddleSlim has {' and '.join(PRUNERS)}, not '{criterion}'; prune has more")
        if not tower:
            raise CompressError("tower: name a field, such as image, or a pattern of layers, such as encoders.*")
        self.tower, self.ratio, self.leaves, self.normalised = tower, ratio, leaves, normalised
        self.criterion: Criterion = criterion

    def apply(self, model: Any, context: Context) -> Compressed:
        """Prune the towers of ``model``; none of them is left as it is, or the step fails."""
        towers = _towers(model, self.tower)
        inputs = tower_inputs(model, context.sample, towers)
        layers = dict(model.named_sublayers())
        found = Dependencies(model, context.sample, self.normalised)
        removed: list[Unit] = []
        counts: dict[str, dict[str, int]] = {}
        for name in towers:
            chosen = unwanted_filters(layers[name], inputs[name], self.ratio, self.criterion, self.leaves)
            units = _units(found, {f"{name}.{weight}": filters for weight, filters in chosen.items()})
            if not units:
                raise CompressError(f"{name}: {_why(layers[name], self.leaves)}; use prune, or name other towers")
            removed += units
            counts[name] = {"convolutions": len(chosen), "units": len(units)}
            context.say(f"{name}: {PRUNERS[self.criterion]} takes {len(units)} filters of {len(chosen)} convolutions")
        pruned = remove(model, context.sample, found, removed)
        before, after = pruned.report["flops"]
        if not after < before:
            raise CompressError(f"multiply-adds did not fall: {before} before and {after} after")
        return Compressed([pruned.transform], {**pruned.report, "pruner": PRUNERS[self.criterion], "chosen": counts})


def _towers(model: nn.Layer, tower: str) -> list[str]:
    """The outermost layers that a field or a pattern names. Raises CompressError where there is none."""
    names = [name for name, _ in model.named_sublayers()]
    encoders = {name.removeprefix("encoders."): name for name in names if name.startswith("encoders.")}
    if tower in encoders:
        return [encoders[tower]]
    found = [name for name in names if fnmatch.fnmatchcase(name, tower)]
    if not found:
        fields = [field for field in encoders if "." not in field]
        raise CompressError(f"tower: there is no '{tower}'{did_you_mean(tower, fields)}")
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]


def _units(found: Dependencies, chosen: Mapping[str, np.ndarray]) -> list[Unit]:
    """The units all of whose filters that PaddleSlim judged are to go."""
    units = []
    for group in found.groups:
        for unit in group.units:
            judged = [name for name, axis in group.producers if axis == 0 and name in chosen]
            if judged and all(np.isin(unit.places[name, 0], chosen[name]).all() for name in judged):
                units.append(unit)
    return units


def _why(tower: nn.Layer, leaves: bool) -> str:
    """Why nothing goes from a tower."""
    if not any(isinstance(layer, nn.Conv2D) for layer in tower.sublayers(include_self=True)):
        return "it has no 2-D convolution, and PaddleSlim prunes nothing else"
    hint = "" if leaves else " (the last ones only with leaves: true)"
    return f"PaddleSlim chooses none of its filters, or none that can go from the whole model{hint}"
