"""How important a unit is: what is lost least goes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ppmm.compress.dependencies import Group, Place
from ppmm.errors import CompressError
from ppmm.registry import did_you_mean

__all__ = ["CRITERIA", "Evidence", "importance"]


@dataclass(frozen=True)
class Evidence:
    """What is known of a model's parameters and buffers, by structured name.

    ``gradients`` are means of the loss's gradient over batches, ``squares`` means of its square; both may be empty
    where no criterion reads them.
    """

    weights: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)
    squares: Mapping[str, np.ndarray] = field(default_factory=dict)
    scales: frozenset[str] = frozenset()
    seed: int = 0


class Rows(NamedTuple):
    """Numbers of the units of a group, one row for each [units,numbers]: weights that make it, and what is of them."""

    weight: np.ndarray
    gradient: np.ndarray | None
    square: np.ndarray | None
    scale: np.ndarray | None
    rng: np.random.Generator


def l1(rows: Rows) -> np.ndarray:
    """Sum of magnitudes (Li et al. 2017, "Pruning Filters for Efficient ConvNets")."""
    return np.abs(rows.weight).sum(axis=1)


def l2(rows: Rows) -> np.ndarray:
    """Euclidean norm."""
    return np.sqrt((rows.weight**2).sum(axis=1))


def fpgm(rows: Rows) -> np.ndarray:
    """Sum of distances to the other units: the one nearest to the geometric median can be replaced by them (He et al.
    2019, "Filter Pruning via Geometric Median", equation 6)."""
    from scipy.spatial.distance import cdist

    return cdist(rows.weight, rows.weight).sum(axis=1)


def bn_scale(rows: Rows) -> np.ndarray:
    """Magnitude of the factors of batch normalisation (Liu et al. 2017, "Network Slimming")."""
    assert rows.scale is not None
    return np.abs(rows.scale).mean(axis=1)


def taylor(rows: Rows) -> np.ndarray:
    """|sum of weight times gradient|: the loss's first-order change (Molchanov et al. 2019, equation 8)."""
    assert rows.gradient is not None
    return np.abs((rows.weight * rows.gradient).sum(axis=1))


def hessian(rows: Rows) -> np.ndarray:
    """Sum of h w^2 / 2 (LeCun et al. 1990, "Optimal Brain Damage", equation 5), with the mean squared gradient (the
    diagonal of the Fisher information) as h."""
    assert rows.square is not None
    return 0.5 * (rows.square * rows.weight**2).sum(axis=1)


def random(rows: Rows) -> np.ndarray:
    """No importance at all: what any other criterion must beat."""
    return rows.rng.random(len(rows.weight))


CRITERIA: dict[str, Callable[[Rows], np.ndarray]] = {
    "l1": l1,
    "l2": l2,
    "fpgm": fpgm,
    "bn_scale": bn_scale,
    "taylor": taylor,
    "hessian": hessian,
    "random": random,
}
READS = {"taylor": "gradient", "hessian": "square"}


def importance(groups: list[Group], criterion: str, evidence: Evidence) -> list[np.ndarray | None]:
    """Importance of each unit of each group; None for a group of which the criterion says nothing.

    Raises CompressError for a criterion that is not known, or gradients that are not given.
    """
    if criterion not in CRITERIA:
        raise CompressError(f"criterion: there is no '{criterion}'{did_you_mean(criterion, CRITERIA)}")
    if criterion in READS and not evidence.gradients:
        raise CompressError(f"criterion: '{criterion}' needs gradients: give it batches of training data and the loss")
    rng = np.random.default_rng(evidence.seed)
    scores: list[np.ndarray | None] = []
    for group in groups:
        rows = _rows(group, evidence, rng)
        scores.append(None if criterion == "bn_scale" and rows.scale is None else CRITERIA[criterion](rows))
    return scores


def _rows(group: Group, evidence: Evidence, rng: np.random.Generator) -> Rows:
    scales = [(name, 0) for name, _ in group.units[0].places if name in evidence.scales]
    weight = _gather(group, group.producers, evidence.weights)
    assert weight is not None
    gradient, square = (_gather(group, group.producers, arrays) for arrays in (evidence.gradients, evidence.squares))
    return Rows(weight, gradient, square, _gather(group, scales, evidence.weights) if scales else None, rng)


def _gather(
    group: Group, places: tuple[Place, ...] | list[Place], arrays: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """One row per unit of what the arrays hold for it at these places, zeros after the shorter ones."""
    if not arrays:
        return None
    rows = [
        np.concatenate([np.take(arrays[name], unit.places[name, axis], axis).ravel() for name, axis in places])
        for unit in group.units
    ]
    longest = max(len(row) for row in rows)
    return np.stack([np.pad(row.astype(np.float64), (0, longest - len(row))) for row in rows])
