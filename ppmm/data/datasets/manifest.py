"""A table of files, texts and labels, one row per sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ppmm.data.table import Row, read_table
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS, did_you_mean
from ppmm.types import Sample

__all__ = ["Manifest"]

FILE_FIELDS = ("image", "audio")


@DATASETS.register("manifest")
class Manifest:
    """Rows of a .jsonl, .csv or .tsv. An empty cell, a null or an absent key leaves the field out of the sample.

    Args:
        path: the table; relative to the working folder.
        columns: field or target -> column; None takes every column under its own name.
        files: fields whose cells are paths of files; None for the image and audio fields of the experiment.
        root: folder from which these paths count; None for the table's own. They may not lead out of it.
        limit: take only the first so many rows.
        file_fields: the fields of the experiment that are read from files, for ``files: null``; given by the builder.

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
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} must be at least 1")
        self.path = Path(path)
        self.root = self.path.parent if root is None else Path(root)
        rows = read_table(self.path)
        self.columns = self._columns(rows, columns)
        self.files = self._files(files, file_fields)
        self._samples = [self._sample(row) for row in rows[:limit]]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        """Fields and targets of one row, and ``id``: the table's name and line, ``train.jsonl:17``."""
        return dict(self._samples[index])

    def _columns(self, rows: list[Row], wanted: dict[str, str] | None) -> dict[str, str]:
        """Field -> column, once every column is known to exist. Raises ConfigError, DataError."""
        known = dict.fromkeys(column for row in rows for column in row.cells)
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

    def _sample(self, row: Row) -> Sample:
        where = f"{self.path.name}:{row.line}"
        sample: Sample = {"id": where}
        for field, column in self.columns.items():
            value = row.cells.get(column)
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            sample[field] = self._file(value, f"{where} {field}") if field in self.files else value
        return sample

    def _file(self, value: Any, where: str) -> Path:
        """A cell as a path below ``root``. Raises DataError."""
        if not isinstance(value, str):
            raise DataError(f"{where}: expected the path of a file, found {type(value).__name__}")
        path = Path(os.path.normpath(value.strip()))
        inside = Path(os.path.relpath(path, os.path.abspath(self.root))) if path.is_absolute() else path
        if inside.parts[:1] == ("..",):
            raise DataError(f"{where}: '{value}' leads out of '{self.root}'; set root to a folder that holds all files")
        return self.root / inside
