"""Raw rows -> arrays: the fields and targets of one row, decoded, augmented, some dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.types import Dataset, Field, Sample, Target

__all__ = ["Prepared", "drop_some"]

Key = tuple[int, int]
"""(epoch, row), or (pass, row) for a row that an epoch holds again: enough to seed everything random about a sample,
whichever worker makes it."""


def drop_some(present: Sequence[str], rates: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """The fields of ``present`` that survive modality dropout; at least one always does."""
    draws = rng.random(len(present))
    kept = [field for field, draw in zip(present, draws, strict=True) if draw >= rates.get(field, 0.0)]
    return kept if kept or not present else [present[int(rng.integers(len(present)))]]


class Prepared:
    """A data set of arrays.

    Args:
        rows: raw samples.
        fields: by name; a row may lack some, not all.
        targets: by name; every row has those that have no value for rows without.
        seed: of the run.
        training: augment and drop fields at random.
        dropout: share of rows in which a field is dropped, by field.
        without: fields that every row is to lack (``--drop``).
    """

    def __init__(
        self,
        rows: Dataset,
        fields: Mapping[str, Field],
        targets: Mapping[str, Target],
        *,
        seed: int = 0,
        training: bool = False,
        dropout: Mapping[str, float] | None = None,
        without: Collection[str] = (),
    ) -> None:
        self.rows = rows
        self.fields = fields
        self.targets = targets
        self.seed = seed
        self.training = training
        self.dropout = dropout or {}
        self.without = frozenset(without)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Sample:
        """Arrays of a row by field and target, and ``index``. Raises DataError naming row and field."""
        return self.convert(key, self.rows[key[1]])

    def convert(self, key: Key, row: Sample) -> Sample:
        """The same of a raw row that has been read already."""
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index]) if self.training else None
        sample: Sample = {"index": np.int64(index)}
        for field in self._present(row, rng):
            sample[field] = self._convert(row, field, rng)
        for target, convert in self.targets.items():
            sample[target] = _convert_target(row, target, convert)
        return sample

    def _present(self, row: Sample, rng: np.random.Generator | None) -> list[str]:
        present = [field for field in self.fields if field in row and field not in self.without]
        if not present:
            wanted = ", ".join(self.fields)
            dropped = f" after dropping {', '.join(sorted(self.without))}" if self.without else ""
            raise DataError(f"{row['id']}: the row has none of the fields {wanted}{dropped}; at least one is needed")
        return present if rng is None else drop_some(present, self.dropout, rng)

    def _convert(self, row: Sample, field: str, rng: np.random.Generator | None) -> Any:
        try:
            return self.fields[field](row[field], rng)
        except DataError as error:
            raise DataError(f"{row['id']} {field}: {error}") from error


def _convert_target(row: Sample, name: str, target: Target) -> np.ndarray:
    """The array of a target. Raises DataError naming row and target."""
    column = target.column or name
    if column not in row:
        if target.absent is None:
            raise DataError(f"{row['id']}: the row has no '{column}'")
        return target.absent
    try:
        return target(row[column])
    except DataError as error:
        raise DataError(f"{row['id']} {name}: {error}") from error
