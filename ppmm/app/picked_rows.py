"""Some rows of a data set: those that have what is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ppmm.data.columns import column_of
from ppmm.errors import DataError
from ppmm.types import Dataset, Sample

__all__ = ["PickedRows", "rows_with_any", "spread"]


class PickedRows:
    """The rows of a data set whose numbers are ``picked``, in that order."""

    def __init__(self, rows: Dataset, picked: Sequence[int] | np.ndarray) -> None:
        self.rows, self.picked = rows, np.asarray(picked, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.picked)

    def __getitem__(self, index: int) -> Sample:
        return self.rows[int(self.picked[index])]


def rows_with_any(rows: Dataset, fields: Collection[str]) -> Dataset:
    """The rows that have one of ``fields`` at least; ``rows`` itself where all do. Raises DataError where none does."""
    has = np.zeros(len(rows), dtype=bool)
    for field in fields:
        has |= np.fromiter((value is not None for value in column_of(rows, field)), bool, len(rows))
    if not has.any():
        raise DataError(f"none of the {len(rows)} rows has any of the fields {', '.join(fields) or '(none)'}")
    return rows if has.all() else PickedRows(rows, np.flatnonzero(has))


def spread(rows: Dataset, count: int) -> Dataset:
    """``count`` rows spread evenly; ``rows`` itself where there are no more."""
    if count >= len(rows):
        return rows
    return PickedRows(rows, np.unique(np.linspace(0, len(rows) - 1, count).astype(int)))
