"""Rows -> .jsonl, .csv, .tsv or .parquet, complete or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.errors import DataError

__all__ = ["write_table", "write_text"]

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under a temporary name, then rename.

    CSV and TSV take every column that any row has; None becomes an empty cell.

    Raises:
        DataError: an unknown suffix, a value that the format cannot hold, or a place that cannot be written.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".jsonl":
            content = "".join(json.dumps(row, ensure_ascii=False, default=_plain) + "\n" for row in rows).encode()
        elif suffix in DELIMITERS:
            content = _delimited(rows, DELIMITERS[suffix]).encode()
        elif suffix == ".parquet":
            content = _parquet(rows)
        else:
            raise DataError(f"'{path}': give .jsonl, .csv, .tsv or .parquet")
    except (TypeError, ValueError) as error:
        raise DataError(f"'{path}': a value cannot be written: {error}; write .jsonl instead") from error
    _write(path, content)


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
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
