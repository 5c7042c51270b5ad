"""Structured pruning as a step, at once or in rounds with training between."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from ppmm.compress.context import Compressed, Context, Training
from ppmm.compress.dependencies import Dependencies
from ppmm.compress.gradients import Gradients, gradients_of
from ppmm.compress.prune import NothingPrunedError, Progress, Prune, Pruned
from ppmm.compress.pruning_curves import PruningCurves, ratios_within
from ppmm.errors import CompressError
from ppmm.registry import COMPRESSORS

__all__ = ["PruneStep", "whole_report"]

ROWS = 256
"""Of the gradients for the criteria that need them."""


@COMPRESSORS.register("prune")
class PruneStep:
    """Removes channels, hidden units, heads and embedding columns of the whole model (`ppmm.compress.prune.Prune`).

    Args:
        ratio: share of the units of each group of layers that goes, above 0 and below 1.
        flops: share of the multiply-adds that goes, in place of ``ratio``, which is then searched for.
        criterion: what is least important: l1, l2, fpgm, bn_scale, taylor, hessian or random; taylor and hessian take
            gradients of the loss from 256 training rows.
        ranking: ``uniform`` takes the share from each group, ``global`` the least important units of the whole model.
        ratios: other shares for layers by pattern (``{"encoders.image.*": 0.7}``); the first that matches decides.
        ratios_from: ``sensitivity.json`` of tools/sensitivity.py: each layer's ratio is the largest at which this layer
            alone loses no more than a threshold, which is the same for all: ``max_drop``, or the least one that saves
            ``flops``. In place of ``ratio``.
        max_drop: largest threshold, in points: hundredths of the figure's own unit (0.5 is half a point of accuracy).
        skip: patterns of layers that are left alone.
        most: largest share of a group that a global ranking, or the search for ``flops``, may take.
        least: units of each group that stay.
        multiple: what stays of a group is rounded up to a multiple (8 or 16 for tensor cores).
        normalised: whether channels over which a layer normalisation takes its mean may go too.
        rounds: prunings in which the share is reached, each taking the same share of what is left.
        epochs: passes over the training split between two rounds; 0 trains nothing (a ``finetune`` step trains after
            the last one).
        max_steps: optimizer steps after which each of these trainings ends earlier.
        learning_rate: base rate of them; that of the config when null.
        set: other values of keys of the config for them, as with ``-o``: ``{loader.batch_size: 32}``.

    Raises CompressError for values that make no sense.
    """

    def __init__(
        self,
        ratio: float | None = None,
        flops: float | None = None,
        criterion: str = "l1",
        ranking: Literal["uniform", "global"] = "uniform",
        ratios: dict[str, float] | None = None,
        ratios_from: str | None = None,
        max_drop: float | None = None,
        skip: list[str] | None = None,
        most: float = 0.9,
        least: int = 1,
        multiple: int = 1,
        normalised: bool = False,
        rounds: int = 1,
        epochs: int = 0,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        set: dict[str, Any] | None = None,
    ) -> None:
        if rounds < 1 or epochs < 0:
            raise CompressError(f"rounds must be at least 1 and epochs at least 0, got {rounds} and {epochs}")
        if rounds == 1 and (epochs or max_steps is not None or learning_rate is not None or set):
            raise CompressError(
                "epochs, max_steps, learning_rate, set: training is between rounds; give rounds: 2 or more, or add a "
                "step finetune after this one"
            )
        if epochs == 0 and (max_steps is not None or learning_rate is not None or set):
            raise CompressError("max_steps, learning_rate, set: nothing is trained between rounds; give epochs too")
        self.rounds, self.training = rounds, Training(epochs, max_steps, learning_rate, set)
        self.arguments: dict[str, Any] = {
            "ratio": ratio, "flops": flops, "criterion": criterion, "ranking": ranking, "ratios": ratios, "skip": skip,
            "most": most, "least": least, "multiple": multiple, "normalised": normalised,
        }  # fmt: skip
        self.curves = None if ratios_from is None else _open_curves(ratios_from, ratio, ranking)
        self.max_drop = max_drop
        self._check_drop(flops)
        Prune(**(self.arguments if self.curves is None else {**self.arguments, "flops": None, "ratio": 0.5}))

    def _check_drop(self, flops: float | None) -> None:
        drop = self.max_drop
        if self.curves is None:
            if drop is not None:
                raise CompressError("max_drop: it belongs to ratios_from, the sensitivity.json whose curves it reads")
        elif drop is None and flops is None:
            raise CompressError("ratios_from: say how far to go: max_drop (points of each layer's own loss) or flops")
        elif drop is not None and not (math.isfinite(drop) and drop >= 0):
            raise CompressError(f"max_drop: must be a number of points, 0 or more; got {drop}")

    def apply(self, model: Any, context: Context) -> Compressed:
        """Prune ``model``; between rounds it is trained."""
        found = Dependencies(model, context.sample, self.arguments["normalised"])
        pruner, curves = self._pruner(found, context)
        begin = Progress.begin(found, 1.0)
        done: list[Pruned] = []
        trained: list[dict[str, Any]] = []
        for number in range(1, self.rounds + 1):
            gradients = Gradients({}, {})
            if self.arguments["criterion"] in ("taylor", "hessian"):
                gradients = gradients_of(model, context.objective, context.batches("train", ROWS), context.seed)
            try:
                pruned = pruner.apply(
                    model, context.sample, *gradients, begin._replace(part=number / self.rounds),
                    found if number == 1 else None,
                )  # fmt: skip
            except NothingPrunedError:
                if number == self.rounds and not done:
                    raise
                context.say(f"round {number} of {self.rounds}: less than one unit more goes")
                continue
            done.append(pruned)
            context.say(f"round {number} of {self.rounds}: {_told(begin.flops, pruned)}")
            if self.training.epochs and number < self.rounds:
                trained.append(context.train(model, self.training, [one.transform for one in done]))
        report = whole_report(done)
        return Compressed(
            [one.transform for one in done],
            {**report, **curves, **({"training": trained} if trained else {})},
        )

    def _pruner(self, found: Dependencies, context: Context) -> tuple[Prune, dict[str, Any]]:
        """With the ratios of the curves, where there are any, and what of them is to be reported."""
        arguments = {**self.arguments, "seed": context.seed}
        if self.curves is None:
            return Prune(**arguments), {}
        own = Prune(**{**arguments, "flops": None, "ratio": 0.5}).limits
        chosen = ratios_within(self.curves, found, own, self.arguments["flops"], self.max_drop)
        context.say(f"each layer by itself loses {chosen.threshold:.4g} points at most")
        told = {"threshold": chosen.threshold, "ratios": chosen.ratios}
        return Prune(**{**arguments, "flops": None, "ratio": None, "ratios": chosen.ratios}), told


def whole_report(done: list[Pruned]) -> dict[str, Any]:
    """The report of several prunings, one after the other: from before the first to after the last."""
    first, last = done[0].report, done[-1].report
    report = {
        **last,
        "flops": [first["flops"][0], last["flops"][1]],
        "parameters": [first["parameters"][0], last["parameters"][1]],
        "towers": {
            tower: {
                key: [values[0], last["towers"].get(tower, first["towers"][tower])[key][1]]
                for key, values in part.items()
            }
            for tower, part in first["towers"].items()
        },
        "groups": _groups(done),
    }
    if len(done) > 1:
        report["rounds"] = [{key: one.report[key] for key in ("flops", "parameters")} for one in done]
    return report


def _groups(done: list[Pruned]) -> list[dict[str, Any]]:
    """Those of the first pruning with what is left of them; a group of one unit is none any more."""
    after = {key: group["kept"] for one in done for key, group in _numbered(one.report["groups"]).items()}
    return [{**group, "kept": after[key]} for key, group in _numbered(done[0].report["groups"]).items()]


def _numbered(groups: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """By their layers and, of those with the same layers, their place."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for group in groups:
        number = 0
        while (*group["layers"], str(number)) in found:
            number += 1
        key = (*group["layers"], str(number))
        found[key] = group
    return found


def _open_curves(path: str, ratio: float | None, ranking: str) -> PruningCurves:
    if ratio is not None or ranking != "uniform":
        raise CompressError("ratios_from: it gives each layer its ratio; leave out ratio and ranking")
    return PruningCurves.read(Path(path))


def _told(whole: int, pruned: Pruned) -> str:
    flops, parameters = pruned.report["flops"][1], pruned.report["parameters"][1]
    return f"{flops:,} multiply-adds ({flops / whole:.1%}) and {parameters:,} parameters are left"
