"""Text tables (.jsonl, .csv, .tsv) -> rows with their line numbers, read line by line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

from ppmm.errors import DataError

__all__ = ["DELIMITERS", "JSON_LINES", "TEXT_SUFFIXES", "Row", "iterate_table", "read_table"]

JSON_LINES = (".jsonl", ".json-lines", ".ndjson")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
TEXT_SUFFIXES = (*JSON_LINES, *DELIMITERS)
MAX_LINE = 64 * 2**20
"""Characters of one line: a file without line breaks is not a table, and must not fill the memory."""


class Row(NamedTuple):
    """One row: the line of the file on which it begins (from 1), and its cells by column."""

    line: int
    cells: dict[str, Any]


def read_table(path: Path, suffix: str | None = None) -> list[Row]:
    """All rows of a table as a list, for small ones; see `iterate_table`. Raises DataError also for no rows.

    ``suffix`` says how to read a file that has another one.
    """
    rows = list(iterate_table(path, suffix=suffix))
    if not rows:
        raise DataError(f"'{path}' has no rows")
    return rows


def iterate_table(path: Path, note: Callable[[int], None] | None = None, suffix: str | None = None) -> Iterator[Row]:
    """The rows of a UTF-8 table, one by one (a byte-order mark is skipped, empty lines too).

    CSV and TSV cells are text, quoted with ``"`` where they hold the delimiter or a line break; JSON values keep
    their type.

    Args:
        path: the table.
        note: told now and then how many bytes have been read.
        suffix: how to read a file that has another one.

    Raises:
        DataError: missing, of an unknown suffix, not UTF-8, or a line that is damaged (named by its number).
    """
    suffix = path.suffix.lower() if suffix is None else suffix
    if suffix not in TEXT_SUFFIXES:
        raise DataError(f"'{path}' is not a table; give {', '.join(TEXT_SUFFIXES)}")
    try:
        # Only "\n" ends a line of JSON, which allows U+2028 within strings; csv itself copes with any line end.
        with path.open(encoding="utf-8-sig", newline="" if suffix in DELIMITERS else "\n") as file:
            lines = _lines(path, file, note)
            yield from _csv_rows(path, lines, DELIMITERS[suffix]) if suffix in DELIMITERS else _json_rows(path, lines)
    except FileNotFoundError as error:
        raise DataError(
            f"'{path}' does not exist (looked from {Path.cwd()}); make or unpack the data set first, or mend the path"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{_bad_line(path)}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _lines(path: Path, file: IO[str], note: Callable[[int], None] | None) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise DataError(f"{path}:{number}: the line is longer than {MAX_LINE:,} characters; is this a table?")
        if note is not None and number % 4096 == 0:
            note(file.buffer.tell())  # type: ignore[attr-defined]
        yield line


def _bad_line(path: Path) -> int:
    """Number of the first line that is not UTF-8; no byte of a longer character is a line break."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _json_rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            cells = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(cells, dict):
            raise DataError(f"{path}:{number}: expected one object {{...}} per line, found {type(cells).__name__}")
        yield Row(number, cells)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON; leave the key out where the value is missing")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _csv_rows(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
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
