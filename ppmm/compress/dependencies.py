"""The dependency graph of a model's channels (Fang et al. 2023, "DepGraph: Towards Any Structural Pruning", section 3):
which slices of which parameters can only go together. DepGraph follows layers; here every channel is followed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppmm.compress import layer_rules, pointwise_rules, shape_rules  # noqa: F401 - they register their rules
from ppmm.compress.channels import Labels
from ppmm.compress.interpreter import Interpreter
from ppmm.compress.towers import tower_of
from ppmm.compress.trace import Sample, trace

__all__ = ["Dependencies", "Group", "Kept", "Place", "Unit", "layer_of"]

Place = tuple[str, int]
"""A parameter or buffer and one of its dimensions."""
Kept = dict[str, dict[int, np.ndarray]]
"""Tensor -> dimension -> indices that stay, ascending; only what changes."""


@dataclass(frozen=True)
class Unit:
    """What goes at once: one channel, hidden unit or head, with its indices in every dimension that knows it."""

    root: int
    places: dict[Place, np.ndarray]


@dataclass(frozen=True)
class Group:
    """Units of the same dimensions, of which any part can go.

    ``producers`` are the dimensions of the weights that make these channels; ``layers`` the layers of them.
    """

    units: list[Unit]
    producers: tuple[Place, ...]

    @property
    def layers(self) -> list[str]:
        return list(dict.fromkeys(layer_of(name) for name, _ in self.producers))

    @property
    def name(self) -> str:
        """The first of the layers, and how many others there are."""
        others = len(self.layers) - 1
        return f"{self.layers[0]} (and {others} more)" if others else self.layers[0]

    @property
    def family(self) -> tuple[Place, ...]:
        """The dimensions that know these units; no other group has the same."""
        return tuple(self.units[0].places)

    @property
    def width(self) -> int:
        """Channels of a unit in the first of its producers: 1, or the size of a head."""
        return len(self.units[0].places[self.producers[0]])


def layer_of(tensor: str) -> str:
    """The layer that has a parameter; the parameter itself where the model has it."""
    return tensor.rpartition(".")[0] or tensor


class Dependencies:
    """What can go from a model, and what that would save.

    Args:
        model: any Layer that can be traced.
        sample: what it is called with; the costs are those of this sample.
        normalised: whether channels over which a layer normalisation takes its mean may go. Its mean is then one of
            those that stay, which is not what zeros in their place would give.

    ``groups`` in the order of their first parameter. Raises CompressError when the model cannot be traced.
    """

    def __init__(self, model: Any, sample: Sample, normalised: bool = False) -> None:
        self.normalised = normalised
        self._run = Interpreter(trace(model, sample), normalised)
        self._run.run()
        self.groups = self._find_groups()
        self._costs = [
            (cost.constant, [self._run.channels.roots(labels) for labels in cost.factors]) for cost in self._run.costs
        ]
        self._cost_towers = self._find_cost_towers()

    @property
    def unknown(self) -> dict[str, set[str]]:
        """Operations without a rule, whose channels all stay, and the layers around them."""
        return self._run.unknown

    @property
    def scales(self) -> set[str]:
        """Factors of batch normalisations."""
        return self._run.scales

    @property
    def norms(self) -> set[str]:
        """Factors of layer normalisations whose channels may go."""
        return self._run.norms

    def flops(self, removed: Iterable[Unit] = ()) -> int:
        """Multiply-adds of convolutions, matrix products and recurrent layers without the ``removed`` units."""
        return sum(self.flops_by_tower(removed).values())

    def flops_by_tower(self, removed: Iterable[Unit] = ()) -> dict[str, int]:
        """The same for each tower (`tower_of`)."""
        gone = np.array(sorted(unit.root for unit in removed), dtype=np.int64)
        found: dict[str, int] = {}
        for (constant, factors), tower in zip(self._costs, self._cost_towers, strict=True):
            count = constant * math.prod(int((~np.isin(roots, gone)).sum()) for roots in factors)
            found[tower] = found.get(tower, 0) + count
        return found

    def kept(self, removed: Iterable[Unit]) -> Kept:
        """What stays of the dimensions from which units go."""
        gone: dict[Place, list[np.ndarray]] = defaultdict(list)
        for unit in removed:
            for place, indices in unit.places.items():
                gone[place].append(indices)
        kept: Kept = {}
        for (name, dimension), parts in gone.items():
            every = np.arange(len(self._run.tensors[name][dimension]))
            kept.setdefault(name, {})[dimension] = np.setdiff1d(every, np.concatenate(parts))
        return kept

    def shapes(self, removed: Iterable[Unit] = ()) -> dict[str, list[int]]:
        """Shapes of all parameters and buffers that the model uses, without the ``removed`` units."""
        kept = self.kept(removed)
        return {
            name: [len(kept.get(name, {}).get(number, labels)) for number, labels in enumerate(dims)]
            for name, dims in self._run.tensors.items()
        }

    def fixed(self) -> dict[Place, str]:
        """Why nothing can go from a dimension that makes channels, for each such dimension."""
        found = {}
        for name, dimension in sorted(self._run.producers):
            labels = self._run.tensors[name][dimension]
            if self._run.channels.is_fixed(labels).all():
                found[name, dimension] = self._run.channels.reason(int(labels[0])) or ""
        return found

    def _find_cost_towers(self) -> list[str]:
        """The tower of each cost; a product of two activations belongs to the weights that come before it."""
        towers: list[str] = []
        for cost in self._run.costs:
            known = cost.place in self._run.tensors
            towers.append(tower_of(cost.place) if known else towers[-1] if towers else "")
        return towers

    def _find_groups(self) -> list[Group]:
        places: dict[int, dict[Place, np.ndarray]] = defaultdict(dict)
        for name, dims in self._run.tensors.items():
            for dimension, labels in enumerate(dims):
                for root, indices in self._free(labels):
                    places[root][name, dimension] = indices
        families: dict[tuple[Place, ...], list[Unit]] = defaultdict(list)
        for root, own in places.items():
            families[tuple(own)].append(Unit(root, own))
        groups = []
        for family, units in families.items():
            producers = tuple(place for place in family if place in self._run.producers)
            if producers and len(units) > 1:
                groups.append(Group(units, producers))
        return groups

    def _free(self, labels: Labels) -> list[tuple[int, np.ndarray]]:
        """Channels of a dimension that may go, each with its indices."""
        roots = self._run.channels.roots(labels)
        indices = np.flatnonzero(~self._run.channels.is_fixed(labels))
        found: dict[int, list[int]] = defaultdict(list)
        for index in indices.tolist():
            found[int(roots[index])].append(index)
        return [(root, np.array(own)) for root, own in found.items()]
