"""What a command found, as a file of JSON or of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.engine.history import json_value

__all__ = ["write_document", "write_lines"]


def write_document(path: str | Path | None, document: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write it, whole or not at all, and make its folder; with None nothing.

    Null stands for a figure that is not finite, since JSON has no NaN. Raises DataError where it cannot be written.
    """
    if path is not None:
        _write(path, _text(document, indent=1) + "\n")


def write_lines(path: str | Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """The same with one line for each of ``lines``."""
    _write(path, "".join(_text(line) + "\n" for line in lines))


def _text(value: Any, indent: int | None = None) -> str:
    return json.dumps(json_value(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _write(path: str | Path, text: str) -> None:
    from ppmm.data.curate.table_writer import write_text

    write_text(Path(path), text)
