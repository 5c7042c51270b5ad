"""A manifest or any data set as rows whose cells have kinds: what every step of curation works on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppmm.data.table import Row, read_table
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
    rows: list[Row]
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
        cell = self.rows[index].cells.get(column)
        if cell is None or (isinstance(cell, str) and cell == ""):
            return None
        if self.kinds.get(column) in MEDIA and isinstance(cell, str | Path):
            return _resolve(self.root, str(cell).strip())
        return cell

    def values(self, column: str) -> Iterator[tuple[int, Any]]:
        """(index, value) of the rows that have the column."""
        for index in range(len(self.rows)):
            value = self.value(index, column)
            if value is not None:
                yield index, value

    def id(self, index: int) -> str:
        """The row's own id where a column holds it, else ``name:line``."""
        for column in self.columns("id"):
            cell = self.rows[index].cells.get(column)
            if cell not in (None, ""):
                return str(cell)
        return f"{self.path.name if self.path else self.name}:{self.rows[index].line}"


def open_collection(
    path: Path, kinds: Mapping[str, str] | None = None, root: Path | None = None, name: str | None = None
) -> Collection:
    """A .jsonl, .csv, .tsv or .parquet manifest.

    Args:
        path: the table.
        kinds: column -> kind; guessed from names and suffixes when None or empty.
        root: folder of the files; the manifest's own when None.
        name: of the collection; the file's stem when None.

    Raises:
        DataError: a table that cannot be read, a column that it lacks, or nothing to look at.
    """
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else read_table(path)
    known = list(dict.fromkeys(column for row in rows for column in row.cells))
    for column in kinds or ():
        if column not in known:
            raise DataError(f"'{path}' has no column '{column}'{did_you_mean(column, known)}")
    chosen = dict(kinds) if kinds else guess_kinds(rows)
    if not chosen:
        raise DataError(f"'{path}': no column looks like an image, a recording, a text or a label; name them (--image)")
    return Collection(path.stem if name is None else name, rows, chosen, path.parent if root is None else root, path)


def from_dataset(name: str, dataset: Dataset, kinds: Mapping[str, str]) -> Collection:
    """Any data set of a config, by its samples; rows are numbered from 1."""
    rows = [Row(index + 1, dict(dataset[index])) for index in range(len(dataset))]
    if not rows:
        raise DataError(f"split '{name}' has no rows")
    return Collection(name, rows, {"id": "id", **kinds})


def guess_kinds(rows: Sequence[Row]) -> dict[str, str]:
    """Column -> kind, from the suffixes of the first cells and from the names of the columns."""
    columns = dict.fromkeys(column for row in rows[:GUESS_ROWS] for column in row.cells)
    kinds: dict[str, str] = {}
    for column in columns:
        cells = [row.cells.get(column) for row in rows[:GUESS_ROWS]]
        texts = [cell.lower() for cell in cells if isinstance(cell, str) and cell.strip()]
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


def _parquet_rows(path: Path) -> list[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"'{path}' needs pyarrow: pip install 'pyarrow<20'") from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"'{path}' cannot be read as Parquet: {error}") from error
    rows = [Row(number, cells) for number, cells in enumerate(table.to_pylist(), 1)]
    if not rows:
        raise DataError(f"'{path}' has no rows")
    return rows
