"""What becomes of rows that cannot be read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from ppmm.errors import DataError

__all__ = ["BadRow", "BadRows"]

Policy = Literal["raise", "skip", "quarantine"]
SHOWN = 3


class BadRow(NamedTuple):
    """A row of the data set and why it cannot be read; the reason begins with the row's id."""

    row: int
    reason: str


class BadRows:
    """The rows that a run has left out.

    Args:
        policy: ``raise`` ends the run at the first; ``skip`` leaves such rows out of their batches; ``quarantine`` also
            lists them.
        limit: the run ends when there are more.
        path: JSON lines of ``row`` and ``reason``, for ``quarantine``; what it holds already counts.

    Raises:
        DataError: the list cannot be read.
    """

    def __init__(self, policy: Policy = "raise", limit: int = 100, path: Path | None = None) -> None:
        self.policy = policy
        self.limit = limit
        self.path = path if policy == "quarantine" else None
        self.rows: dict[int, str] = _read(self.path) if self.path is not None else {}
        self._told = len(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, bad: Iterable[BadRow]) -> None:
        """Note rows, each once. Raises DataError when there are more than the limit."""
        new = []
        for row in bad:
            if row.row not in self.rows:
                self.rows[row.row] = row.reason
                new.append(row)
        if self.path is not None and new:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in new)
        if len(self.rows) > self.limit:
            where = f"; all are in {self.path}" if self.path is not None else ""
            raise DataError(
                f"{len(self.rows):,} rows cannot be read, more than loader.max_bad_rows {self.limit:,}{where}; "
                f"the last is {next(reversed(self.rows.values()))}"
            )

    def tell(self) -> None:
        """A line on stderr when there are more than at the last time."""
        if len(self.rows) > self._told:
            new = list(self.rows.values())[self._told :]
            self._told = len(self.rows)
            where = f" (list: {self.path})" if self.path is not None else ""
            shown = "; ".join(new[:SHOWN]) + (" ..." if len(new) > SHOWN else "")
            print(f"left out {len(self.rows):,} unreadable rows so far{where}: {shown}", file=sys.stderr, flush=True)


def _read(path: Path) -> dict[int, str]:
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            found[int(entry["row"])] = str(entry["reason"])
        except (ValueError, KeyError, TypeError):  # a line cut by a kill: the row will be met again
            continue
    return found
