"""Rows -> .jsonl, .csv, .tsv or .parquet, complete or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.data.convert import PARQUET
from ppmm.data.table import DELIMITERS, JSON_LINES
from ppmm.errors import DataError

__all__ = ["copy_rows", "write_table", "write_text"]

ROWS = 16384
"""Rows of a Parquet file that are copied at once."""


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows under a temporary name, then rename.

    CSV and TSV take every column that any row has; None becomes an empty cell.

    Raises:
        DataError: an unknown suffix, a value that the format cannot hold, or a place that cannot be written.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in JSON_LINES:
            content = "".join(json.dumps(row, ensure_ascii=False, default=_plain) + "\n" for row in rows).encode()
        elif suffix in DELIMITERS:
            content = _delimited(list(rows), DELIMITERS[suffix]).encode()
        elif suffix in PARQUET:
            content = _parquet(list(rows))
        else:
            raise DataError(f"'{path}': give .jsonl, .csv, .tsv or .parquet")
    except (TypeError, ValueError) as error:
        other = "; write .jsonl instead" if suffix != ".jsonl" else ": give a manifest of paths"
        raise DataError(f"'{path}': a value cannot be written: {error}{other}") from error
    _write(path, content)


def copy_rows(source: Path, path: Path, indices: Sequence[int]) -> None:
    """Write some rows of a Parquet file as they are, with the types of all columns. Raises DataError."""
    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    wanted = np.asarray(indices, dtype=np.int64)
    try:
        with pyarrow.parquet.ParquetFile(source, memory_map=True) as file:
            first = 0
            with pyarrow.parquet.ParquetWriter(buffer, file.schema_arrow) as writer:
                for batch in file.iter_batches(ROWS, use_threads=False):
                    inside = wanted[(wanted >= first) & (wanted < first + len(batch))]
                    writer.write_batch(batch.take(pyarrow.array(inside - first)))
                    first += len(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"'{source}' cannot be copied to '{path}': {error}") from error
    _write(path, buffer.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name, then rename. Raises DataError."""
    _write(path, text.encode("utf-8", "replace"))


def _delimited(rows: Sequence[Mapping[str, Any]], delimiter: str) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(column) is None else _cell(row[column]) for column in columns])
    return buffer.getvalue()


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("Parquet needs pyarrow: pip install 'pyarrow<20'") from error
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({c: [row.get(c) for row in rows] for c in columns}), buffer)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is no value of JSON")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}") from error
