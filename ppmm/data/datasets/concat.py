"""Several data sets as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ppmm.data.columns import column_of, lengths_of
from ppmm.errors import ConfigError
from ppmm.registry import DATASETS
from ppmm.types import Dataset, Sample

__all__ = ["Concat"]


@DATASETS.register("concat")
class Concat:
    """The rows of several data sets, one after the other; the sampler ``mixed`` gives them shares.

    Args:
        parts: the data sets.

    Raises:
        ConfigError: no parts, or one without rows.
    """

    def __init__(self, parts: list[Dataset]) -> None:
        if not parts or not all(len(part) for part in parts):
            raise ConfigError("parts: give at least one data set, each with rows")
        self.parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Sample:
        """A row of the part that holds it."""
        index = index + len(self) if index < 0 else index
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[part][index - int(self.group_starts()[part])]

    def group_starts(self) -> np.ndarray:
        """First row of each part."""
        return np.r_[0, self._ends[:-1]]

    def column(self, name: str) -> Iterator[Any]:
        """The values of a field or target in all rows."""
        for part in self.parts:
            yield from column_of(part, name)

    def lengths(self, name: str) -> np.ndarray:
        """The lengths of a field in all rows, float64 [rows]."""
        return np.concatenate([lengths_of(part, name) for part in self.parts])
