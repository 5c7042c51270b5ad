"""What pruning costs where: a figure against the share that goes, by set of layers and by tower."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from paddle import nn

from ppmm.compress.criteria import Evidence, importance
from ppmm.compress.dependencies import Dependencies, Group, Unit
from ppmm.compress.gradients import Gradients
from ppmm.compress.layer_sets import layer_sets
from ppmm.compress.promises import masked
from ppmm.compress.prune import why_nothing
from ppmm.compress.pruning_curves import lost_points
from ppmm.compress.selection import Limits, select
from ppmm.compress.trace import Sample
from ppmm.data.curate.table_writer import write_text
from ppmm.engine.history import json_value
from ppmm.errors import CompressError
from ppmm.models.resize import tensors_of

__all__ = ["RATIOS", "Figure", "Sensitivity", "advice"]

RATIOS = (0.2, 0.4, 0.6, 0.8)
SLIGHT = 1.0
"""Points that a piece of advice is willing to lose."""


class Figure(NamedTuple):
    """What is watched.

    Args:
        name: of the figure.
        higher: whether more of it is better.
        of: what it is for a model, as a mapping that holds it.
    """

    name: str
    higher: bool
    of: Callable[[Any], Mapping[str, float]]


@dataclass(frozen=True)
class Sensitivity:
    """How it is measured: channels are set to zero, which gives the answers of the pruned model without training.

    Args:
        ratios: shares of the units, each above 0 and below 1.
        criterion: see `ppmm.compress.criteria`.
        seed: of the random criterion.

    Raises CompressError for values that make no sense.
    """

    ratios: Sequence[float] = RATIOS
    criterion: str = "l1"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.ratios:
            raise CompressError("ratios: give at least one share, above 0 and below 1")
        for ratio in self.ratios:
            Limits(ratio)
        importance([], self.criterion, Evidence({}, {"": np.zeros(0)}))

    def measure(
        self,
        model: nn.Layer,
        sample: Sample,
        figure: Figure,
        path: Path,
        *,
        gradients: Gradients | None = None,
        identity: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> dict[str, Any]:
        """Measure all curves; returns what is in ``path``, which is written after each point and taken up again.

        Args:
            model: it is left as it was.
            sample: a real batch with all fields present.
            figure: what is lost.
            path: the JSON. What is there of the same weights and arguments is not measured again.
            gradients: for criteria that need them.
            identity: of the data that ``figure`` is of, JSON.
            say: takes a line of progress.

        Raises CompressError where nothing can be pruned, ``figure`` is not measured, or ``path`` is of another model.
        """
        found = Dependencies(model, sample)
        if not found.groups:
            raise CompressError(f"nothing can be pruned: {why_nothing(found)}")
        key = _key(model, {"metric": figure.name, "criterion": self.criterion, "seed": self.seed, **(identity or {})})
        document = _kept(path, key) or {"key": key, "base": _value(model, figure), "towers": {}, "layers": {}}
        document |= {
            "complete": False, "metric": figure.name, "higher": figure.higher, "criterion": self.criterion,
            **(identity or {}), "flops": found.flops(), "flops_by_tower": found.flops_by_tower(),
        }  # fmt: skip
        weights = {name: tensor.numpy() for name, tensor in tensors_of(model).items()}
        means, squares = gradients or Gradients({}, {})
        evidence = Evidence(weights, means, squares, frozenset(found.scales), self.seed)
        scores = importance(found.groups, self.criterion, evidence)
        scored = {group.family: score for group, score in zip(found.groups, scores, strict=True) if score is not None}
        for kind, name, groups, about in _places(found, scored):
            curve = document[kind].setdefault(name, {**about, "points": []})
            for ratio in sorted(self.ratios):
                if any(point["ratio"] == ratio for point in curve["points"]):
                    continue
                removed = select(groups, [scored[group.family] for group in groups], Limits(ratio))
                curve["points"].append(_point(model, found, removed, ratio, figure, document["base"]))
                curve["points"].sort(key=lambda point: point["ratio"])
                _write(path, document)
                say(f"{kind.removesuffix('s')} {name}: {_told(curve['points'], ratio, figure, document)}")
        document["complete"] = True
        document["advice"] = advice(document)
        _write(path, document)
        return document


def _places(
    found: Dependencies, scored: Mapping[Any, np.ndarray]
) -> Iterator[tuple[str, str, list[Group], dict[str, Any]]]:
    """Towers first, since they are few: kind, name, groups, and what is to be told of them."""
    sets = [one for one in layer_sets([group for group in found.groups if group.family in scored])]
    for tower in dict.fromkeys(one.tower for one in sets):
        own = [one for one in sets if one.tower == tower]
        groups = [group for one in own for group in one.groups]
        yield "towers", tower, groups, {"units": sum(one.units for one in own)}
    for one in sets:
        yield "layers", one.name, list(one.groups), {"units": one.units, "tower": one.tower, "layers": one.layers}


def _point(
    model: nn.Layer, found: Dependencies, removed: Sequence[Unit], ratio: float, figure: Figure, base: float
) -> dict[str, Any]:
    if removed:
        with masked(model, found.kept(removed)):
            value = _value(model, figure)
    else:
        value = base
    saved = 1.0 - found.flops(removed) / found.flops()
    return {"ratio": ratio, "units": len(removed), "saved": saved, "value": value if math.isfinite(value) else None}


def _value(model: nn.Layer, figure: Figure) -> float:
    """Raises CompressError where the figure is not among those that are measured."""
    figures = figure.of(model)
    if figure.name not in figures:
        raise CompressError(f"metric: '{figure.name}' is not measured; there are {', '.join(figures)}")
    return float(figures[figure.name])


def _key(model: nn.Layer, identity: Mapping[str, Any]) -> str:
    """What tells these curves from those of other weights or other data."""
    text = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for name, tensor in sorted(tensors_of(model).items()):
        text.update(name.encode())
        text.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return text.hexdigest()


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """What an earlier measurement wrote. Raises CompressError where it was another one."""
    if not path.exists():
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = document["key"] == key
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CompressError(f"{path} is no measurement of sensitivity; choose another place") from error
    if not same:
        raise CompressError(f"{path} holds curves of other weights or arguments; delete it, or choose another place")
    return document


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(json_value(document), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def _told(points: Sequence[Mapping[str, Any]], ratio: float, figure: Figure, document: Mapping[str, Any]) -> str:
    point = next(one for one in points if one["ratio"] == ratio)
    value = "not finite" if point["value"] is None else f"{point['value']:.4f}"
    return (
        f"without {ratio:.0%} {figure.name} {value} (base {document['base']:.4f}), {point['saved']:.1%} less to compute"
    )


def advice(document: Mapping[str, Any]) -> list[str]:
    """Where to prune, in words: which tower's multiply-adds buy least of the figure.

    A tower's price are the points lost on the mean over its ratios, by the share of the model's multiply-adds that is
    saved on the mean.
    """
    whole, metric = document["flops"], document["metric"]
    prices: dict[str, float] = {}
    lines = {}
    for tower, curve in document["towers"].items():
        losses = dict(lost_points(document, curve))
        saved = sum(point["saved"] for point in curve["points"])
        if saved <= 0:
            continue
        prices[tower] = sum(max(0.0, lost) for lost in losses.values()) / (100.0 * saved)
        cheap = [point for point in curve["points"] if losses[point["ratio"]] <= SLIGHT and point["units"]]
        share = document["flops_by_tower"].get(tower, 0) / whole
        best = cheap[-1] if cheap else None
        lines[tower] = f"{tower} ({share:.0%} of the multiply-adds, {curve['units']} units): " + (
            f"any measured share costs more than {SLIGHT:g} point of {metric} before training"
            if best is None
            else f"{best['ratio']:.0%} of its units can go for {max(0.0, losses[best['ratio']]):.2f} points of "
            f"{metric} before training, which saves {best['saved']:.1%} of the model's multiply-adds"
        )
    order = sorted(prices, key=lambda tower: prices[tower])
    if not order:
        return ["no tower saves multiply-adds at the measured ratios"]
    costs = ", ".join(f"{tower} {prices[tower]:.2g}" for tower in order)
    first = f"prune {order[0]} first: its multiply-adds buy least"
    return [f"{first} (points of {metric} per 1 % of the model's multiply-adds saved: {costs})", *map(lines.get, order)]  # type: ignore[list-item]
