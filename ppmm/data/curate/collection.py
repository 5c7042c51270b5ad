"""A manifest or any data set as rows whose cells have kinds: what every step of curation works on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppmm.data.columnar import open_table
from ppmm.data.curate.rows import DatasetRows, Rows, TableRows
from ppmm.errors import DataError
from ppmm.registry import did_you_mean
from ppmm.types import Dataset

__all__ = ["KINDS", "MEDIA", "Collection", "from_dataset", "guess_kinds", "open_collection"]

MEDIA = ("image", "audio")
KINDS = ("image", "audio", "text", "label", "id", "group")
SUFFIXES = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    "audio": (".wav", ".flac", ".ogg", ".mp3", ".sph"),
}
TEXT_NAMES = ("text", "caption", "question", "sentence", "transcript", "remark", "title")
LABEL_NAMES = ("label", "answer", "class", "target", "category")
GUESS_ROWS = 200


@dataclass(frozen=True)
class Collection:
    """Rows of one split.

    Args:
        name: of the split, or of the manifest's file.
        rows: cells by column, with the line of the file (or the number of the row, from 1).
        kinds: column -> image, audio, text, label, id or group; other columns are carried along.
        root: folder from which the paths of images and recordings count.
        path: the manifest; None where the rows come from another data set.
    """

    name: str
    rows: Rows
    kinds: dict[str, str]
    root: Path = field(default_factory=Path)
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self, *kinds: str) -> list[str]:
        """The columns of these kinds, in their order."""
        return [column for column, kind in self.kinds.items() if kind in kinds]

    def value(self, index: int, column: str) -> Any:
        """One cell, None where it is absent; of an image or a recording its path (or array) ready to be opened."""
        if isinstance(self.rows, TableRows | DatasetRows):
            return self._opened(column, self.rows.cell(index, column))
        return self._opened(column, self.rows[index].cells.get(column))

    def values(self, column: str) -> Iterator[tuple[int, Any]]:
        """(index, value) of the rows that have the column."""
        for index, cell in enumerate(self._cells(column)):
            value = self._opened(column, cell)
            if value is not None:
                yield index, value

    def line(self, index: int) -> int:
        """Line of the manifest, or number of the row."""
        return self.rows.line(index) if isinstance(self.rows, TableRows | DatasetRows) else self.rows[index].line

    def id(self, index: int) -> str:
        """The row's own id where a column holds it, else ``name:line``."""
        for column in self.columns("id"):
            cell = self.value(index, column)
            if cell is not None:
                return str(cell)
        return f"{self.path.name if self.path else self.name}:{self.line(index)}"

    def known_columns(self) -> list[str] | None:
        """All columns of a manifest; None where only the rows would tell."""
        return self.rows.columns if isinstance(self.rows, TableRows) else None

    def leads_out(self, value: Any) -> bool:
        """Whether a path of a manifest leaves the root, so that no reader would open it."""
        if self.path is None or not isinstance(value, Path):
            return False
        root = os.path.abspath(self.root)
        return os.path.commonpath([root, os.path.abspath(value)]) != root

    def _cells(self, column: str) -> Iterator[Any]:
        if isinstance(self.rows, TableRows | DatasetRows):
            return self.rows.column(column)
        return (self.rows[index].cells.get(column) for index in range(len(self.rows)))

    def _opened(self, column: str, cell: Any) -> Any:
        if cell is None or (isinstance(cell, str | list) and len(cell) == 0):
            return None
        if self.kinds.get(column) in MEDIA and isinstance(cell, str | Path):
            return _resolve(self.root, str(cell).strip())
        return cell


def open_collection(
    path: Path,
    kinds: Mapping[str, str] | None = None,
    root: Path | None = None,
    name: str | None = None,
    *,
    limit: int | None = None,
    cache: Path | None = None,
) -> Collection:
    """A .jsonl, .csv, .tsv or .parquet manifest, opened as training opens it (`ppmm.data.columnar`).

    Args:
        path: the table.
        kinds: column -> kind; guessed from names and suffixes when None or empty.
        root: folder of the files; the manifest's own when None.
        name: of the collection; the file's stem when None.
        limit: take only the first so many rows.
        cache: folder for the converted table.

    Raises:
        DataError: a table that cannot be read, a column that it lacks, or nothing to look at.
    """
    rows = TableRows(open_table(path, cache), limit)
    for column in kinds or ():
        if column not in rows.columns:
            raise DataError(f"'{path}' has no column '{column}'{did_you_mean(column, rows.columns)}")
    chosen = dict(kinds) if kinds else guess_kinds(rows)
    if not chosen:
        raise DataError(f"'{path}': no column looks like an image, a recording, a text or a label; name them (--image)")
    return Collection(path.stem if name is None else name, rows, chosen, path.parent if root is None else root, path)


def from_dataset(name: str, dataset: Dataset, kinds: Mapping[str, str]) -> Collection:
    """Any data set of a config, by its samples; rows are numbered from 1."""
    if len(dataset) == 0:
        raise DataError(f"split '{name}' has no rows")
    return Collection(name, DatasetRows(dataset), {"id": "id", **kinds})


def guess_kinds(rows: Rows) -> dict[str, str]:
    """Column -> kind, from the suffixes of the first cells and from the names of the columns."""
    first = [rows[index].cells for index in range(min(len(rows), GUESS_ROWS))]
    kinds: dict[str, str] = {}
    for column in dict.fromkeys(column for cells in first for column in cells):
        found = [cells.get(column) for cells in first]
        flat = [one for cell in found for one in (cell if isinstance(cell, list) else [cell])]
        texts = [one.lower() for one in flat if isinstance(one, str) and one.strip()]
        kind = next((kind for kind, ends in SUFFIXES.items() if texts and _share(texts, ends) > 0.5), None)
        low = column.lower()
        if kind is None and low == "id":
            kind = "id"
        if kind is None and texts and low.startswith(TEXT_NAMES):
            kind = "text"
        if kind is None and low.startswith(LABEL_NAMES):
            kind = "label"
        if kind is not None:
            kinds[column] = kind
    return kinds


def _share(texts: Sequence[str], ends: tuple[str, ...]) -> float:
    return sum(text.endswith(ends) for text in texts) / len(texts)


def _resolve(root: Path, cell: str) -> Path:
    return Path(os.path.normpath(root / cell))
