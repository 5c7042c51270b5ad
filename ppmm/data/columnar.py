"""Tables of any size as memory-mapped Arrow columns: opening one costs neither time nor memory per row."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ppmm.data.cache import cached, import_arrow
from ppmm.data.convert import PARQUET, convert
from ppmm.data.table import TEXT_SUFFIXES
from ppmm.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Table", "open_table"]

VERSION = 1
"""Of the cached form; goes into the name of the file."""
IN_MEMORY = 4 * 2**20
"""Tables of so many bytes are converted in memory at every opening: that is fast, and leaves no file behind."""
BATCH = 8192


class Table:
    """Rows and columns of an Arrow table.

    Args:
        path: what it was made from, for messages.
        arrow: ``line`` and one column per name in the metadata, see `ppmm.data.convert`.
    """

    def __init__(self, path: Path, arrow: pa.Table) -> None:
        self.path = path
        facts = json.loads(arrow.schema.metadata[b"columns"])
        self.columns: list[str] = [fact["name"] for fact in facts]
        self._facts = {fact["name"]: fact for fact in facts}
        self._lines = arrow.column(0)
        self._arrays = {name: arrow.column(number) for number, name in enumerate(self.columns, 1)}

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, row: int) -> int:
        """Line of the file on which a row begins; of Parquet, the row's number; both from 1."""
        return int(self._lines[row].as_py())

    def cell(self, row: int, column: str) -> Any:
        """One value; None where the cell is null or absent."""
        value = self._arrays[column][row].as_py()
        return json.loads(value) if value is not None and self._facts[column]["kind"] == "json" else value

    def values(self, column: str, start: int = 0) -> Iterator[Any]:
        """All values of a column in order, a batch at a time: much faster than cell by cell."""
        is_json = self._facts[column]["kind"] == "json"
        array = self._arrays[column]
        for first in range(start, len(array), BATCH):
            for value in array.slice(first, BATCH).to_pylist():
                yield json.loads(value) if is_json and value is not None else value

    def is_text(self, column: str) -> bool:
        """Whether every value is a text or null."""
        return bool(self._facts[column]["kind"] == "text")

    def odd_paths(self, column: str, root: str) -> list[int]:
        """Rows of a text column whose paths are neither plain relative ones nor below the absolute folder ``root``.

        Nothing is read where conversion saw that all are plain.
        """
        if self._facts[column]["plain"]:
            return []
        import pyarrow.compute as pc

        found = []
        array, first = self._arrays[column], 0
        for chunk in array.chunks:
            odd = pc.or_(
                pc.match_substring_regex(chunk, r"(^\s*|/)\.\.(\s*$|/)"),
                pc.and_(
                    pc.match_substring_regex(chunk, r"^\s*/"),
                    pc.invert(pc.match_substring_regex(chunk, f"^{re.escape(root.rstrip('/'))}/[^/]")),
                ),
            )
            found += [first + row for row in pc.indices_nonzero(pc.fill_null(odd, False)).to_pylist()]
            first += len(chunk)
        return found


def open_table(path: Path, cache: Path | None = None) -> Table:
    """Open a .jsonl, .csv, .tsv or .parquet.

    The first opening of a large one converts it, with progress on stderr; later ones find the result by the hash of
    the file (`ppmm.data.cache`).

    Args:
        path: the table.
        cache: folder for converted tables; None for ``.ppmm_cache`` beside the table, or the user's own.

    Raises:
        DataError: it cannot be read, a line is damaged (named by its number), or it has no rows.
    """
    suffix = path.suffix.lower()
    if suffix not in (*TEXT_SUFFIXES, *PARQUET):
        raise DataError(f"'{path}' is not a table; give {', '.join((*TEXT_SUFFIXES, *PARQUET))}")
    pa = import_arrow()
    digest, size = _digest(path)
    if size <= IN_MEMORY:
        sink = pa.BufferOutputStream()
        convert(path, sink, quiet=True)
        return Table(path, pa.ipc.open_file(sink.getvalue()).read_all())
    name = f"{path.name}-{digest[:24]}.v{VERSION}.arrow"

    def make(file: IO[bytes]) -> None:
        convert(path, file)

    return Table(path, cached(path, name, cache, make, _map))


def _map(path: Path) -> pa.Table | None:
    """A cached file as memory-mapped columns; None where it is damaged."""
    import pyarrow as pa

    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError):
        return None


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 of a file and its size. Raises DataError."""
    digest = hashlib.sha256()
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would never end
            raise DataError(f"'{path}' is a device or pipe; give the path of a file")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.hexdigest(), file.tell()
    except FileNotFoundError as error:
        raise DataError(
            f"'{path}' does not exist (looked from {Path.cwd()}); make or unpack the data set first, or mend the path"
        ) from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
