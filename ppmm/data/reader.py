"""What the readers of published data sets share: rows kept as columns, not as Python objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute

from ppmm.errors import ConfigError, DataError
from ppmm.types import Sample

__all__ = ["Reader", "columns_of"]

OUTSIDE = r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)|\\"
"""File names that may lead out of their folder."""


class Reader:
    """Rows of a published data set; the subclass finds and parses the files.

    Args:
        columns: key of the sample -> one cell per row, None where the row lacks it; ``id`` must be there.
        found: one sentence on what was found where, shown by ``tools/data.py describe``.
        folders: field -> folder to which its cells are relative; they become paths.
        limit: keep only the first so many rows.

    Raises:
        ConfigError: ``limit`` below 1.
        DataError: no rows, or a file name that leads out of its folder.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[Any]],
        found: str,
        folders: Mapping[str, Path] | None = None,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} must be at least 1")
        self._table = {key: _column(key, cells[:limit], found) for key, cells in columns.items()}
        self._folders = dict(folders or {})
        self.found = found
        if len(self) == 0:
            raise DataError(f"no rows: {found}")
        for key, folder in self._folders.items():
            outside = pyarrow.compute.match_substring_regex(self._table[key].cast("string"), OUTSIDE)
            row = pyarrow.compute.index(outside, True).as_py()
            if row >= 0:
                name = ascii(self._table[key][row].as_py())[:80]
                raise DataError(f"row {self._table['id'][row]}: {key} {name} leads out of '{folder}'")

    def __len__(self) -> int:
        return len(self._table["id"])

    def __getitem__(self, index: int) -> Sample:
        """One row; keys with nothing in them are left out. Raises IndexError."""
        sample: Sample = {}
        for key, column in self._table.items():
            value = column[int(index)].as_py()
            if value is not None:
                sample[key] = self._folders[key] / value if key in self._folders else value
        return sample

    def column(self, key: str) -> list[Any]:
        """All cells of one key, None where a row lacks it; no path is joined."""
        return list(self._table[key].to_pylist())


def _column(key: str, cells: Sequence[Any], found: str) -> Any:
    """Cells as an Arrow array. Raises DataError for mixed types, huge numbers, texts that are no Unicode."""
    try:
        return pyarrow.array(cells, from_pandas=False)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{found}: a value of '{key}' cannot be kept: {error}") from error


def columns_of(rows: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, list[Any]]:
    """Rows -> columns; a key that a row lacks is None."""
    columns: dict[str, list[Any]] = {key: [] for key in keys}
    for row in rows:
        for key, cells in columns.items():
            cells.append(row.get(key))
    return columns
