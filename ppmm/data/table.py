"""Text tables (.jsonl, .csv, .tsv) -> rows with their line numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ppmm.errors import DataError

__all__ = ["Row", "read_table"]

JSON_LINES = (".jsonl", ".json-lines", ".ndjson")
DELIMITERS = {".csv": ",", ".tsv": "\t"}


class Row(NamedTuple):
    """One row: the line of the file on which it begins (from 1), and its cells by column."""

    line: int
    cells: dict[str, Any]


def read_table(path: Path, suffix: str | None = None) -> list[Row]:
    """All rows of a UTF-8 table (a byte-order mark is skipped, empty lines too).

    CSV and TSV cells are text, quoted with ``"`` where they hold the delimiter or a line break; JSON values keep
    their type. ``suffix`` says how to read a file that has another one.

    Raises:
        DataError: missing, of an unknown suffix, not UTF-8, a line that is damaged (named by its number), or no rows.
    """
    suffix = path.suffix.lower() if suffix is None else suffix
    if suffix not in JSON_LINES and suffix not in DELIMITERS:
        raise DataError(f"'{path}' is not a table; give {', '.join((*JSON_LINES, *DELIMITERS))}")
    text = _read_text(path)
    rows = list(_csv_rows(path, text, DELIMITERS[suffix]) if suffix in DELIMITERS else _json_rows(path, text))
    if not rows:
        raise DataError(f"'{path}' has no rows")
    return rows


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"'{path}' does not exist (looked from {Path.cwd()}); make or unpack the data set first, or mend the path"
        ) from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8") from error


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines(): it also splits at U+2028, which JSON allows within strings.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(cells, dict):
            raise DataError(f"{path}:{number}: expected one object {{...}} per line, found {type(cells).__name__}")
        yield Row(number, cells)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON; leave the key out where the value is missing")


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _check_header(path, [name.strip() for name in cells])
            elif len(cells) != len(header):
                raise DataError(f"{path}:{start}: {len(cells)} cells, but the header has {len(header)} columns")
            else:
                yield Row(start, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"{path}:{line}: {error}") from error


def _check_header(path: Path, header: list[str]) -> list[str]:
    twice = sorted({name for name in header if header.count(name) > 1 or not name})
    if twice:
        raise DataError(f"{path}:1: column names must be given and differ; see {', '.join(map(repr, twice))}")
    return header
