"""Epochs in which groups of rows have given shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppmm.errors import DataError

__all__ = ["quota_order", "quotas_of"]

ORDER = 2
"""Sets the draws of the whole order apart from those within the groups."""


def quotas_of(shares: Sequence[float], rows: int, names: Sequence[str]) -> list[int]:
    """Rows of each group in an epoch of ``rows``, by largest remainder. Raises DataError for a group with none."""
    exact = np.asarray(shares, dtype=np.float64) / sum(shares) * rows
    quotas = np.floor(exact).astype(np.int64)
    largest = np.argsort(quotas - exact, kind="stable")[: rows - int(quotas.sum())]
    quotas[largest] += 1
    for name, quota in zip(names, quotas, strict=True):
        if quota == 0:
            raise DataError(f"sampler: an epoch of {rows:,} rows has none of {name}; raise its share or rows")
    return [int(quota) for quota in quotas]


def quota_order(groups: Sequence[np.ndarray], quotas: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """``quotas[g]`` rows of each group in random order.

    Each group is gone through without end, shuffled anew each time, and epochs go on where the one before has ended:
    every row of a group comes equally often, whatever the quotas.

    Args:
        groups: row numbers int64, each not empty.

    Returns:
        int64 [sum of quotas].
    """
    chosen = [
        _stretch(members, quota * epoch, quota, [seed, number])
        for number, (members, quota) in enumerate(zip(groups, quotas, strict=True))
    ]
    return np.random.default_rng([seed, epoch, ORDER]).permutation(np.concatenate(chosen))


def _stretch(members: np.ndarray, start: int, count: int, seed: list[int]) -> np.ndarray:
    """Positions ``start ... start + count - 1`` of the endless sequence of permutations of ``members``."""
    size = len(members)
    first, last = start // size, (start + count - 1) // size
    rounds = [np.random.default_rng([*seed, number]).permutation(members) for number in range(first, last + 1)]
    return np.concatenate(rounds)[start - first * size :][:count]
