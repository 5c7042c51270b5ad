"""Results that survive a kill: one JSON line per piece of work, read again at the next start."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ppmm.errors import DataError

__all__ = ["Journal", "fingerprint"]


def fingerprint(*values: Any) -> str:
    """16 hexadecimal digits of what a journal's results depend on."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Journal:
    """Append-only results by key.

    Args:
        path: the file; None keeps results in memory only.
        fresh: forget what an earlier run wrote.
    """

    def __init__(self, path: Path | None, fresh: bool = False) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        self._file: IO[str] | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not fresh:
                self.known = dict(_read_lines(path))
            self._file = path.open("w" if fresh else "a", encoding="utf-8")
        except OSError as error:
            raise DataError(f"the journal '{path}' cannot be written: {error}; choose another --work folder") from error
        # A line that a kill has cut must not swallow the next one.
        if self._file.tell() > 0:
            self._file.write("\n")

    def add(self, results: dict[str, Any]) -> None:
        """Keep results; on return they are with the operating system, which survives the process."""
        self.known.update(results)
        if self._file is not None:
            self._file.write(json.dumps(results, ensure_ascii=True, allow_nan=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def _read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Keys and results of whole lines; what a kill has cut is computed again."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                results = json.loads(line)
            except ValueError:
                continue
            if isinstance(results, dict):
                yield from results.items()
