"""The processes that train one model together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["SINGLE", "Processes"]


class Processes:
    """One process: nothing is exchanged.

    Attributes:
        rank: number of this process, from 0.
        world: how many there are.
    """

    rank = 0
    world = 1

    def sum_rows(self, rows: int) -> int:
        """Rows of a step over all processes."""
        return rows

    def sum_gradients(self, parameters: Sequence[Any]) -> None:
        """Give each parameter the sum of its gradients over all processes."""

    def sum_terms(self, terms: Mapping[str, float]) -> dict[str, float]:
        """The sum of each figure over all processes."""
        return dict(terms)


SINGLE = Processes()
