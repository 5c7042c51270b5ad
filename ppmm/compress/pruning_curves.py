"""What each layer loses alone by pruning, as measured before, and the ratios that follow from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppmm.compress.dependencies import Dependencies
from ppmm.compress.flops_target import smallest
from ppmm.compress.layer_sets import layer_sets
from ppmm.compress.selection import Limits, check_patterns, select
from ppmm.errors import CompressError
from ppmm.registry import did_you_mean

__all__ = ["Chosen", "PruningCurves", "lost_points", "ratio_within", "ratios_within"]

POINTS = 100.0
"""In one unit of a figure."""
LEAST = 1e-6
"""Smaller ratios are none."""


class Chosen(NamedTuple):
    """Ratios by layer, and the largest loss of a layer by itself, in points, that they allow."""

    ratios: dict[str, float]
    threshold: float


@dataclass(frozen=True)
class PruningCurves:
    """For each set of layers, by the name of its first: how many units it has, and (ratio, points lost) by ratio."""

    layers: Mapping[str, tuple[int, list[tuple[float, float]]]]

    @classmethod
    def read(cls, path: Path) -> PruningCurves:
        """What tools/sensitivity.py wrote. Raises CompressError where there is no such file, or it is not finished."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            complete = bool(document["complete"])
            layers = {
                name: (int(found["units"]), lost_points(document, found)) for name, found in document["layers"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CompressError(
                f"ratios_from: {path} does not hold curves ({type(error).__name__}: {error}); "
                "python tools/sensitivity.py -c CONFIG -w CHECKPOINT --out FOLDER writes FOLDER/sensitivity.json"
            ) from error
        if not complete:
            raise CompressError(
                f"ratios_from: {path} is not finished; run tools/sensitivity.py again, it goes on where it was"
            )
        return cls(layers)


def lost_points(document: Mapping[str, Any], curve: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(ratio, points of the figure lost) of a curve, by ratio; without a finite figure all is lost."""
    sign = POINTS if document["higher"] else -POINTS
    found = []
    for point in curve["points"]:
        value = point["value"]
        lost = math.inf if value is None else sign * (document["base"] - value)
        found.append((float(point["ratio"]), lost))
    return sorted(found)


def ratio_within(points: list[tuple[float, float]], threshold: float) -> float:
    """The largest ratio up to which a curve that begins with (0, 0) loses ``threshold`` at most.

    Between two measured points the loss rises along a line; beyond the last one nothing is known, so that it is the
    largest answer. (PaddleSlim's ``get_ratios_by_sensitivity`` asks the same.)
    """
    ratio, lost = 0.0, 0.0
    for place, value in points:
        if value > threshold:
            rise = value - lost
            return ratio if math.isinf(rise) else ratio + (place - ratio) * (threshold - lost) / rise
        ratio, lost = place, max(0.0, value)
    return ratio


def ratios_within(
    curves: PruningCurves, found: Dependencies, limits: Limits, flops: float | None, most: float | None
) -> Chosen:
    """Ratios at which each layer by itself loses no more than one threshold.

    Args:
        curves: of this model, or of one of the same form.
        found: what can go.
        limits: of everything else; the user's own ``ratios`` in it go before those of the curves.
        flops: share of the multiply-adds that must go; the threshold is then the smallest that saves it.
        most: largest threshold in points; the threshold itself where ``flops`` is None.

    Raises CompressError where the curves are of another model, or ``flops`` is out of reach.
    """
    check_patterns(found, limits)
    _check_same(curves, found)
    highest = max(
        (lost for _, points in curves.layers.values() for _, lost in points if math.isfinite(lost)), default=0
    )
    bound = max(0.0, highest) if most is None else most
    scores = [np.zeros(len(group.units)) for group in found.groups]

    def ratios_at(threshold: float) -> dict[str, float]:
        measured = {name: ratio_within(points, threshold) for name, (_, points) in curves.layers.items()}
        return {name: min(ratio, limits.most) for name, ratio in measured.items() if ratio > LEAST}

    def saved(threshold: float) -> float:
        ratios = {**limits.ratios, **ratios_at(threshold)}
        if not ratios:
            return 0.0
        removed = select(found.groups, scores, replace(limits, ratio=None, ratios=ratios))
        return 1.0 - found.flops(removed) / found.flops()

    threshold = bound if flops is None else smallest(saved, flops, bound)
    if threshold is None:
        raise CompressError(
            f"flops: {flops} is out of reach: {math.floor(1000 * saved(bound)) / 1000} of the multiply-adds go where "
            f"no layer by itself loses over {bound:.4g} points; raise max_drop, measure larger ratios, or take less"
        )
    ratios = {**limits.ratios, **ratios_at(threshold)}
    if saved(threshold) <= 0:
        raise CompressError(
            f"max_drop: no layer can lose a unit within {threshold:.4g} points; raise it, or measure smaller ratios"
        )
    return Chosen(ratios, threshold)


def _check_same(curves: PruningCurves, found: Dependencies) -> None:
    sets = {one.name: one for one in layer_sets(found.groups)}
    for name, (units, _) in curves.layers.items():
        if name not in sets:
            raise CompressError(f"ratios_from: this model has no layer '{name}' to prune{did_you_mean(name, sets)}")
        if sets[name].units != units:
            raise CompressError(
                f"ratios_from: {name} has {sets[name].units} units here and had {units} when it was measured; measure "
                "this model"
            )
