"""A table of files, texts and labels, one row per sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.data.columnar import open_table
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS, did_you_mean
from ppmm.types import Sample

__all__ = ["Manifest"]

FILE_FIELDS = ("image", "audio")


@DATASETS.register("manifest")
class Manifest:
    """Rows of a .jsonl, .csv, .tsv or .parquet. An empty cell, a null or an absent key leaves the field out.

    Opening costs the same for any number of rows: a large table is converted once, see `ppmm.data.columnar`.

    Args:
        path: the table; relative to the working folder.
        columns: field or target -> column; None takes every column under its own name.
        files: fields whose cells are paths of files; None for the image and audio fields of the experiment.
        root: folder from which these paths count; None for the table's own. They may not lead out of it.
        limit: take only the first so many rows.
        file_fields: the fields of the experiment that are read from files, for ``files: null``; given by the builder.
        expand: a field whose cells are lists (several captions of an image): each item becomes a row of its own, with
            the id ``train.jsonl:17#2`` for the second. None leaves lists as they are.
        cache: folder for the converted table; None for ``.ppmm_cache`` beside the table or, where that cannot be
            written, the user's cache.

    Raises:
        ConfigError: ``limit`` below 1, or a field named ``id``.
        DataError: a table that cannot be read, an unknown column or field, a path that leads out of ``root``.
    """

    def __init__(
        self,
        path: str,
        columns: dict[str, str] | None = None,
        files: list[str] | None = None,
        root: str | None = None,
        limit: int | None = None,
        file_fields: list[str] | None = None,
        expand: str | None = None,
        cache: str | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} must be at least 1")
        self.path = Path(path)
        self.root = self.path.parent if root is None else Path(root)
        self._table = open_table(self.path, None if cache is None else Path(cache))
        self.columns = self._columns(columns)
        self.files = self._files(files, file_fields)
        self._check_files()
        self.expand = expand
        self._ends = None if expand is None else self._expanded(expand)
        rows = len(self._table) if self._ends is None else int(self._ends[-1])
        self._length = rows if limit is None else min(limit, rows)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        """Fields and targets of one row, and ``id``: the table's name and line, ``train.jsonl:17``."""
        row, item = self._place(index)
        where = self._where(row)
        sample: Sample = {"id": where if item is None else f"{where}#{item + 1}"}
        for field, column in self.columns.items():
            value = self._table.cell(row, column)
            if field == self.expand and isinstance(value, list):
                value = value[item] if item is not None else None
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            sample[field] = self._file(value, f"{where} {field}") if field in self.files else value
        return sample

    def column(self, name: str) -> Iterator[Any]:
        """The values of one field in the order of the rows, None where it is missing; faster than row by row."""
        if self._ends is not None or name not in self.columns:
            yield from (self[index].get(name) for index in range(len(self)))
            return
        for row, value in enumerate(self._table.values(self.columns[name])):
            if row >= self._length:
                return
            missing = value is None or (isinstance(value, str) and not value.strip())
            yield None if missing else self._file(value, name) if name in self.files else value

    def _place(self, index: int) -> tuple[int, int | None]:
        """Row of the table and, of an expanded one, the item of its list."""
        index = index + self._length if index < 0 else index
        if not 0 <= index < self._length:
            raise IndexError(f"row {index} of {self._length}")
        if self._ends is None:
            return index, None
        row = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[row - 1]) if row else 0
        value = self._table.cell(row, self.columns[self.expand or ""])
        return row, index - first if isinstance(value, list) and value else None

    def _where(self, row: int) -> str:
        return f"{self.path.name}:{self._table.line(row)}"

    def _columns(self, wanted: dict[str, str] | None) -> dict[str, str]:
        """Field -> column, once every column is known to exist. Raises ConfigError, DataError."""
        known = self._table.columns
        if wanted is None:
            return {column: column for column in known if column != "id"}
        if "id" in wanted:
            raise ConfigError("columns: 'id' is taken by the row's own id; choose another name for the field")
        for field, column in wanted.items():
            if column not in known:
                raise DataError(f"'{self.path}' has no column '{column}' (for {field}){did_you_mean(column, known)}")
        return dict(wanted)

    def _files(self, wanted: list[str] | None, usual: list[str] | None) -> frozenset[str]:
        """Names of the fields that hold paths. Raises DataError."""
        if wanted is None and usual is not None:
            return frozenset(field for field in usual if field in self.columns)
        if wanted is None:
            return frozenset(field for field in self.columns if field.startswith(FILE_FIELDS))
        for field in wanted:
            if field not in self.columns:
                raise DataError(f"files: '{self.path}' gives no field '{field}'{did_you_mean(field, self.columns)}")
        return frozenset(wanted)

    def _check_files(self) -> None:
        """Raises DataError for the first cell that is no path below ``root``; plain relative paths are not read."""
        for field in sorted(self.files):
            column = self.columns[field]
            if self._table.is_text(column):
                root = os.path.abspath(self.root)
                rows: Iterator[tuple[int, Any]] = (
                    (row, self._table.cell(row, column)) for row in self._table.odd_paths(column, root)
                )
            else:
                rows = enumerate(self._table.values(column))
            for row, value in rows:
                if value is not None:
                    self._file(value, f"{self._where(row)} {field}")

    def _file(self, value: Any, where: str) -> Any:
        """A cell as a path below ``root``; bytes (of a Parquet file) stay. Raises DataError."""
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise DataError(f"{where}: expected the path of a file, found {type(value).__name__}")
        text = value.strip()
        if not text.startswith("/") and ".." not in text:
            return self.root / text
        path = Path(os.path.normpath(text))
        inside = Path(os.path.relpath(path, os.path.abspath(self.root))) if path.is_absolute() else path
        if inside.parts[:1] == ("..",):
            raise DataError(f"{where}: '{value}' leads out of '{self.root}'; set root to a folder that holds all files")
        return self.root / inside

    def _expanded(self, field: str) -> np.ndarray:
        """int64 [rows of the table]: the number of rows up to and with each one. Raises DataError."""
        if field not in self.columns:
            raise DataError(f"expand: '{self.path}' gives no field '{field}'{did_you_mean(field, self.columns)}")
        counts = [
            len(value) or 1 if isinstance(value, list) else 1 for value in self._table.values(self.columns[field])
        ]
        return np.cumsum(np.asarray(counts, dtype=np.int64))
