"""Tables of any kind -> one Arrow file that keeps every value as it was."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ppmm.data.table import DELIMITERS, TEXT_SUFFIXES, Row, iterate_table
from ppmm.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PARQUET", "convert"]

PARQUET = (".parquet", ".pq")
ROWS = 16384
"""Rows of one record batch."""
MAX_COLUMNS = 10_000
INT64 = range(-(2**63), 2**63)


def convert(path: Path, sink: IO[bytes] | pa.BufferOutputStream, quiet: bool = False) -> None:
    """Write ``line`` (int64) and the columns, named c0, c1 ...; their names and kinds are JSON in the metadata.

    Kinds: ``text``, ``int``, ``float``, ``bool``, ``texts`` (list of text); ``json`` for whatever mixes types or nests;
    ``arrow`` for the other types of a Parquet file. A text table is read twice, so that memory stays bounded whatever
    its last row holds.

    Args:
        path: the table.
        sink: where the Arrow IPC file goes.
        quiet: no progress.

    Raises:
        DataError: a damaged row, named by its line; too many columns; no rows.
    """
    if path.suffix.lower() in TEXT_SUFFIXES:
        _convert_text(path, sink, quiet)
    else:
        _convert_parquet(path, sink)


def _convert_text(path: Path, sink: Any, quiet: bool) -> None:
    import pyarrow as pa

    progress = None if quiet else _Progress(path)
    facts = _survey(path, progress)
    types = {
        "text": pa.large_string(), "json": pa.large_string(), "int": pa.int64(), "float": pa.float64(),
        "bool": pa.bool_(), "texts": pa.large_list(pa.large_string()),
    }  # fmt: skip
    fields = [(f"c{number}", types[fact["kind"]]) for number, fact in enumerate(facts)]
    schema = pa.schema([("line", pa.int64()), *fields], metadata={"columns": json.dumps(facts)})
    rows = iterate_table(path, progress)
    with pa.ipc.new_file(sink, schema) as writer:
        while batch := list(islice(rows, ROWS)):
            arrays = [pa.array([row.line for row in batch], pa.int64())]
            for fact, (_, kind) in zip(facts, fields, strict=True):
                arrays.append(pa.array(_cells(batch, fact), kind))
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _cells(rows: Sequence[Row], fact: dict[str, Any]) -> list[Any]:
    name = fact["name"]
    values = [row.cells.get(name) for row in rows]
    if fact["kind"] != "json":
        return values
    return [None if value is None else json.dumps(value) for value in values]


def _survey(path: Path, progress: Callable[[int], None] | None) -> list[dict[str, Any]]:
    """Name, kind and plainness of every column, in the order in which they appear. Raises DataError."""
    kinds: dict[str, str | None] = {}
    plain: dict[str, bool] = {}
    is_csv = path.suffix.lower() in DELIMITERS
    empty = True
    for row in iterate_table(path, progress):
        empty = False
        for name, value in row.cells.items():
            kind = "text" if is_csv else _kind(value)
            known = kinds.setdefault(name, kind)
            if kind is not None and kind != known:
                kinds[name] = kind if known is None else "json"
            if kind == "text" and (".." in value or "/" in value[:1] or not value[:1].strip()):
                plain[name] = plain.get(name, True) and _is_plain(value)
        if len(kinds) > MAX_COLUMNS:
            raise DataError(f"{path}:{row.line}: more than {MAX_COLUMNS:,} columns; is the table transposed?")
    if empty:
        raise DataError(f"'{path}' has no rows")
    return [{"name": name, "kind": kind or "text", "plain": plain.get(name, True)} for name, kind in kinds.items()]


def _is_plain(path: str) -> bool:
    text = path.strip()
    return not text.startswith("/") and ".." not in text


def _kind(value: Any) -> str | None:
    """The narrowest kind that keeps a value of JSON."""
    if value is None:
        return None
    if type(value) is str:
        return "text" if value.isascii() or _is_unicode(value) else "json"
    if type(value) is bool:
        return "bool"
    if type(value) is int:
        return "int" if value in INT64 else "json"
    if type(value) is float:
        return "float"
    if type(value) is list and all(type(item) is str and _is_unicode(item) for item in value):
        return "texts"
    return "json"


def _is_unicode(text: str) -> bool:
    """Whether a text can be stored: JSON's escapes can make lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _convert_parquet(path: Path, sink: Any) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            if file.metadata.num_rows == 0:
                raise DataError(f"'{path}' has no rows")
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise DataError(f"'{path}' has two columns of one name")
            _write_parquet(file, sink)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' cannot be read as Parquet: {error}") from error


def _write_parquet(file: Any, sink: Any) -> None:
    import pyarrow as pa

    types = [_stored(field.type) for field in file.schema_arrow]
    facts = [
        {"name": name, "kind": "text" if kind == pa.large_string() else "arrow", "plain": False}
        for name, kind in zip(file.schema_arrow.names, types, strict=True)
    ]
    fields = [(f"c{number}", kind) for number, kind in enumerate(types)]
    schema = pa.schema([("line", pa.int64()), *fields], metadata={"columns": json.dumps(facts)})
    first = 1
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in file.iter_batches(ROWS, use_threads=False):
            columns = [column.cast(kind) for column, kind in zip(batch.columns, types, strict=True)]
            lines = pa.array(range(first, first + len(batch)), pa.int64())
            writer.write_batch(pa.record_batch([lines, *columns], schema=schema))
            first += len(batch)


def _stored(kind: pa.DataType) -> pa.DataType:
    """Texts in one form, dictionaries unrolled; every other type stays."""
    from pyarrow import large_string, types

    if types.is_dictionary(kind):
        return _stored(kind.value_type)
    return large_string() if types.is_string(kind) or types.is_large_string(kind) else kind


class _Progress:
    """Lines on stderr, at most one in three seconds; the table is read twice."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, max(1, path.stat().st_size)
        self.done, self.last, self.said = 0, 0, time.monotonic()

    def __call__(self, position: int) -> None:
        self.done += self.size if position < self.last else 0
        self.last = position
        now = time.monotonic()
        if now - self.said >= 3.0:
            self.said = now
            share = min(1.0, (self.done + position) / (2 * self.size))
            print(f"converting {self.path} (once): {share:.0%}", file=sys.stderr, flush=True)
