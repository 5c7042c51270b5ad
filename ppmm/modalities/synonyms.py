"""A table of synonyms from a file."""

from __future__ import annotations

import functools
from pathlib import Path

from ppmm.errors import DataError
from ppmm.modalities.file_source import read_file

__all__ = ["read_synonyms"]

MAX_BYTES = 200 * 1024 * 1024


@functools.lru_cache(maxsize=8)
def read_synonyms(path: str) -> dict[str, list[str]]:
    """Lower-case word -> its synonyms.

    Args:
        path: a UTF-8 text; each line holds words that may replace each other, separated by tabs (such as
            ``quick<TAB>fast<TAB>rapid``). Empty lines and lines that begin with # do not count.

    Raises:
        DataError: missing, not UTF-8, or a line with one word only.
    """
    try:
        content = read_file(Path(path), "synonym table", MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"synonym table '{path}' is not UTF-8: {error.reason} at byte {error.start}") from error
    table: dict[str, list[str]] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = [word.strip() for word in line.split("\t") if word.strip()]
        if len(words) < 2:
            raise DataError(f"synonym table '{path}' line {number}: expected words separated by tabs")
        for word in words:
            known = table.setdefault(word.lower(), [])
            known.extend(other for other in words if other.lower() != word.lower() and other not in known)
    if not table:
        raise DataError(f"synonym table '{path}' holds no words")
    return table
