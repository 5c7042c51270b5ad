"""Rare classes as often as frequent ones."""

from __future__ import annotations

import numpy as np

from ppmm.data.columns import column_of
from ppmm.data.samplers.quota import quota_order, quotas_of
from ppmm.errors import ConfigError, DataError
from ppmm.registry import SAMPLERS
from ppmm.types import Dataset

__all__ = ["ClassBalanced"]


@SAMPLERS.register("class_balanced")
class ClassBalanced:
    """Epochs in which a class of n rows has a share proportional to n ** (1 - power).

    Args:
        target: the column whose values are the classes.
        power: 1 makes all classes equally frequent, 0 leaves them as they are.
        rows: of an epoch; None for as many as the data set has.

    Raises:
        ConfigError: a setting out of its range.
    """

    def __init__(self, target: str, power: float = 1.0, rows: int | None = None) -> None:
        if not 0.0 <= power <= 1.0 or (rows is not None and rows < 1):
            raise ConfigError("power must be in 0..1, rows at least 1")
        self.target = target
        self.power = power
        self.rows = rows
        self._groups: tuple[int, list[str], list[np.ndarray]] | None = None

    def order(self, rows: Dataset, seed: int, epoch: int) -> np.ndarray:
        """Row numbers of an epoch, int64 [N]. Raises DataError for a row without a class."""
        if self._groups is None or self._groups[0] != id(rows):
            self._groups = (id(rows), *self._group(rows))
        _, names, groups = self._groups
        shares = [len(group) ** (1.0 - self.power) for group in groups]
        quotas = quotas_of(shares, self.rows or len(rows), names)
        return quota_order(groups, quotas, seed, epoch)

    def _group(self, rows: Dataset) -> tuple[list[str], list[np.ndarray]]:
        members: dict[str, list[int]] = {}
        for index, value in enumerate(column_of(rows, self.target)):
            if value is None:
                raise DataError(f"{rows[index]['id']}: the row has no '{self.target}', by which the sampler balances")
            members.setdefault(str(value), []).append(index)
        names = sorted(members)
        return [f"class '{name}'" for name in names], [np.asarray(members[name], dtype=np.int64) for name in names]
