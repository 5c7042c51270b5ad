"""What samplers need to know of all rows: one value or one length of each, without decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ppmm.errors import DataError
from ppmm.types import Dataset

__all__ = ["Columnar", "Grouped", "Measured", "column_of", "group_starts", "lengths_of"]


@runtime_checkable
class Columnar(Protocol):
    """A data set that gives the values of one field or target faster than row by row; None where it is missing."""

    def column(self, name: str) -> Iterator[Any]: ...


@runtime_checkable
class Measured(Protocol):
    """A data set that knows the lengths of a field without reading it: int64 [rows], 0 where it is missing."""

    def lengths(self, name: str) -> np.ndarray: ...


@runtime_checkable
class Grouped(Protocol):
    """A data set made of consecutive parts (shards, other data sets): int64 [parts], the first row of each."""

    def group_starts(self) -> np.ndarray: ...


def column_of(rows: Dataset, name: str) -> Iterator[Any]:
    """The value of a field or target in each row, None where it is missing."""
    if isinstance(rows, Columnar):
        return rows.column(name)
    return (rows[index].get(name) for index in range(len(rows)))


def group_starts(rows: Dataset) -> np.ndarray:
    """First row of each part; a data set that has none is one part."""
    return rows.group_starts() if isinstance(rows, Grouped) else np.zeros(1, dtype=np.int64)


def lengths_of(rows: Dataset, name: str) -> np.ndarray:
    """A length of each row by which alike ones can be put together.

    Of a text its characters, of a file its bytes (recordings of one format and rate have as many per second), of an
    array its first axis, of a number (a column with seconds) the number itself; 0 where the field is missing.

    Returns:
        float64 [rows].

    Raises:
        DataError: no row has the field.
    """
    if isinstance(rows, Measured):
        lengths = np.asarray(rows.lengths(name), dtype=np.float64)
    else:
        lengths = np.fromiter((_length(value) for value in column_of(rows, name)), np.float64, len(rows))
    if not lengths.any():
        raise DataError(f"bucket_by: no row of the training split has a '{name}' with a length")
    return lengths


def _length(value: Any) -> float:
    if isinstance(value, Path):
        try:
            return float(value.stat().st_size)
        except (OSError, ValueError):  # the row itself will say so when it is read
            return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if np.isfinite(value) else 0.0
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):  # (waveform, rate)
        return float(len(value[0]))
    return float(len(value)) if isinstance(value, Sized) else 0.0
