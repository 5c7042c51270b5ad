"""What passed is remembered, so that an interrupted run of many slow cases goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Progress", "Remembered", "source_hash"]


def source_hash(roots: Iterable[Path], *more: str) -> str:
    """Of the Python files under ``roots`` (folders or files), their places included, and of ``more``."""
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(f"{path.relative_to(root.parent)}\0".encode() + path.read_bytes() + b"\0")
    for text in more:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


class Remembered:
    """Cases that passed, one line each in a file that only grows while it is in use; a torn last line is no harm.

    Args:
        path: the file; lines of other sources are dropped from it.
        sources: hash of everything on which a pass depends, but for the case itself.
    """

    def __init__(self, path: Path, sources: str) -> None:
        self.path, self.sources = path, sources
        self.seconds: dict[str, float] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["sources"] == sources:
                self.seconds[entry["case"]] = entry["seconds"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(self._line(case) for case in self.seconds), encoding="utf-8")

    def __contains__(self, case: str) -> bool:
        return case in self.seconds

    def add(self, case: str, seconds: float) -> None:
        """Remember that ``case`` passed, at once."""
        self.seconds[case] = round(seconds, 2)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(case))

    def _line(self, case: str) -> str:
        return json.dumps({"case": case, "seconds": self.seconds[case], "sources": self.sources}) + "\n"


class Progress:
    """How far many cases are, and how long the rest will take at the rate so far.

    Args:
        total: cases in all.
        every: seconds between two lines.
    """

    def __init__(self, total: int, every: float = 10.0) -> None:
        self.total, self.every = total, every
        self.seen = self.run = 0
        self.begin = self.told = time.monotonic()

    def line(self, was_run: bool) -> str | None:
        """Count one more case; a line to be shown when it is time for one, at the latest with the last case."""
        self.seen, self.run = self.seen + 1, self.run + was_run
        now = time.monotonic()
        if now - self.told < self.every and self.seen < self.total:
            return None
        self.told = now
        rate = self.run / max(now - self.begin, 1e-9)
        rest = "" if rate == 0 else f", {rate * 60:.0f} a minute, {(self.total - self.seen) / rate / 60:.0f} min left"
        return f"case {self.seen} of {self.total} ({self.seen - self.run} passed before){rest}"
