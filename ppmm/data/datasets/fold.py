"""One of K folds of a data set, for cross-validation."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Literal

import numpy as np

from ppmm.data.columns import column_of, group_starts, lengths_of
from ppmm.data.curate.split import split_rows
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS
from ppmm.types import Dataset, Sample

__all__ = ["Fold"]


@DATASETS.register("fold")
class Fold:
    """Rows of another data set, dealt to ``folds`` parts of which one validates and the others train (Stone 1974).

    Every row validates in exactly one fold, and which one depends on nothing but the rows, the columns and ``seed``:
    ``tools/crossval.py`` writes these entries.

    Args:
        of: the data set that is dealt.
        folds: how many parts; at least 2.
        fold: the number of the part that validates, from 0.
        part: ``val`` for that part, ``train`` for all others.
        group_by: a column (speaker, source image); rows that are equal in it validate in the same fold. A row without
            a value is a group of its own.
        stratify: a column whose values every fold has in about the same shares.
        seed: another seed deals other rows.

    Raises:
        ConfigError: fewer than 2 folds, or a number that is none of them.
        DataError: fewer rows or groups than folds, or a column that no row has.
    """

    def __init__(
        self,
        of: Dataset,
        folds: int,
        fold: int,
        part: Literal["train", "val"],
        group_by: str | None = None,
        stratify: str | None = None,
        seed: int = 0,
    ) -> None:
        if folds < 2:
            raise ConfigError(f"folds must be at least 2, got {folds}")
        if not 0 <= fold < folds:
            raise ConfigError(f"fold must be from 0 to {folds - 1}, got {fold}")
        if part not in ("train", "val"):
            raise ConfigError(f"part must be train or val, got '{part}'")
        if len(of) < folds:
            raise DataError(f"{len(of)} rows cannot be dealt to {folds} folds; take fewer folds")
        self.of = of
        dealt = _deal(of, folds, group_by, stratify, seed)
        chosen = [dealt[fold]] if part == "val" else [rows for number, rows in enumerate(dealt) if number != fold]
        self.rows = np.sort(np.concatenate(chosen)).astype(np.int64)
        """Row numbers in ``of``, int64 [rows], ascending."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """A row, as the other data set has it."""
        return self.of[int(self.rows[index])]

    def column(self, name: str) -> Iterator[Any]:
        """The values of a field or target in the rows of this part."""
        wanted = np.zeros(len(self.of), dtype=bool)
        wanted[self.rows] = True
        return (value for value, keep in zip(column_of(self.of, name), wanted.tolist(), strict=True) if keep)

    def lengths(self, name: str) -> np.ndarray:
        """The lengths of a field in the rows of this part, float64 [rows]."""
        return lengths_of(self.of, name)[self.rows]

    def group_starts(self) -> np.ndarray:
        """The first row that is left of each shard or part of the other data set."""
        starts = np.unique(np.searchsorted(self.rows, group_starts(self.of)))
        return starts[starts < len(self.rows)]


def _deal(of: Dataset, folds: int, group_by: str | None, stratify: str | None, seed: int) -> list[list[int]]:
    """The rows of each fold. Raises DataError."""
    groups = None if group_by is None else _values(of, group_by, "group_by")
    if groups is not None:
        distinct = len(set(groups) - {None}) + groups.count(None)
        if distinct < folds:
            raise DataError(f"group_by: {distinct} values of '{group_by}' cannot be dealt to {folds} folds")
    strata = None if stratify is None else _values(of, stratify, "stratify")
    if strata is not None and len(set(strata)) > max(2, len(strata) // folds):
        raise DataError(
            f"stratify: '{stratify}' has {len(set(strata))} different values in {len(strata)} rows, fewer than {folds} "
            "rows of each; take a column of classes, or none"
        )
    keys = [str(row) for row in range(len(of))]
    dealt = split_rows(keys, {str(fold): 1.0 for fold in range(folds)}, strata=strata, groups=groups, seed=seed)
    return [dealt[str(fold)] for fold in range(folds)]


def _values(of: Dataset, column: str, argument: str) -> list[Hashable]:
    """One value of each row, as text; None where it is missing. Raises DataError where it always is."""
    try:
        values: list[Hashable] = [None if value is None else str(value) for value in column_of(of, column)]
    except KeyError:  # a table that does not know the column at all
        values = [None]
    if all(value is None for value in values):
        known = ", ".join(key for key in of[0] if key != "id")
        raise DataError(f"{argument}: no row has a '{column}'; the first row has {known}")
    return values
