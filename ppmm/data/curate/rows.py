"""The rows of a collection, read when they are asked for: those of a table by columns, of a data set one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ppmm.data.columnar import Table
from ppmm.data.table import JSON_LINES, Row
from ppmm.errors import DataError
from ppmm.types import Dataset

__all__ = ["DatasetRows", "Rows", "TableRows"]


class Rows(Protocol):
    """Rows by their index; a list of `Row` will do."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Row: ...


class TableRows:
    """The rows of a manifest, in the columns that its reader has made.

    A key that a row of JSON lines lacks and one that is null are the same, here as in training: neither is a cell.

    Args:
        table: the manifest.
        limit: take only the first so many rows.
    """

    def __init__(self, table: Table, limit: int | None = None) -> None:
        self.columns = table.columns
        self._table = table
        self._sparse = table.path.suffix.lower() in JSON_LINES
        self._length = len(table) if limit is None else min(limit, len(table))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Row:
        cells = {column: self._table.cell(index, column) for column in self.columns}
        if self._sparse:
            cells = {column: value for column, value in cells.items() if value is not None}
        return Row(self._table.line(index), cells)

    def cell(self, index: int, column: str) -> Any:
        """One value, None where the row lacks it."""
        return self._table.cell(index, column) if column in self.columns else None

    def line(self, index: int) -> int:
        """Line of the file on which a row begins."""
        return self._table.line(index)

    def column(self, name: str) -> Iterator[Any]:
        """All values of a column."""
        if name not in self.columns:
            return
        for index, value in enumerate(self._table.values(name)):
            if index >= self._length:
                return
            yield value


class DatasetRows:
    """The samples of any data set; one that cannot be read has no cells, and its error is in ``problems``.

    Only the sample that was read last is kept: some data sets hold pictures and recordings.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.problems: dict[int, str] = {}
        self._dataset = dataset
        self._last: tuple[int, Row] | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Row:
        if self._last is None or self._last[0] != index:
            try:
                cells = dict(self._dataset[index])
            except DataError as error:
                self.problems[index] = str(error)
                cells = {}
            self._last = (index, Row(index + 1, cells))
        return self._last[1]

    def cell(self, index: int, column: str) -> Any:
        """One value, None where the sample lacks it."""
        return self[index].cells.get(column)

    def line(self, index: int) -> int:
        """Number of the row, from 1."""
        return index + 1

    def column(self, name: str) -> Iterator[Any]:
        """All values of a field or target."""
        return (self.cell(index, name) for index in range(len(self)))
