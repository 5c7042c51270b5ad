"""Layers whose channels are pruned with one ratio, and the towers that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppmm.compress.dependencies import Group
from ppmm.compress.towers import tower_of

__all__ = ["LayerSet", "layer_sets"]


@dataclass(frozen=True)
class LayerSet:
    """Groups that have a layer in common: a ratio for one of these layers is a ratio for all of the groups.

    Args:
        groups: at least one.
    """

    groups: tuple[Group, ...]

    @property
    def layers(self) -> list[str]:
        """In the order of the groups."""
        return list(dict.fromkeys(layer for group in self.groups for layer in group.layers))

    @property
    def name(self) -> str:
        """The first of the layers."""
        return self.layers[0]

    @property
    def units(self) -> int:
        """Of all groups."""
        return sum(len(group.units) for group in self.groups)

    @property
    def tower(self) -> str:
        """The tower of all its layers; ``shared`` where they belong to several."""
        towers = {tower_of(layer) for layer in self.layers}
        return towers.pop() if len(towers) == 1 else "shared"


def layer_sets(groups: Sequence[Group]) -> list[LayerSet]:
    """Each group in one set, in the order of their first groups."""
    sets: list[list[Group]] = []
    for group in groups:
        own = set(group.layers)
        meeting = [found for found in sets if own & {layer for one in found for layer in one.layers}]
        joined = [one for found in meeting for one in found] + [group]
        place = sets.index(meeting[0]) if meeting else len(sets)
        sets = [found for found in sets if found not in meeting]
        sets.insert(place, joined)
    return [LayerSet(tuple(found)) for found in sets]
