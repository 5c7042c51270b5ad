"""An index that grows and shrinks while it is searched: every change is on disk before it is answered."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.index.vector_index import Hit, VectorIndex, unit_rows

__all__ = ["LivingIndex"]

JOURNAL = "journal.jsonl"


class LivingIndex:
    """A `VectorIndex` and a journal of what was added and removed since it was built; safe for several threads.

    The journal lies in the index's folder, a line for each change, and is read again at the next start; a line that a
    kill has cut short is a change that was never answered, and is dropped. Building the index anew empties it.

    Args:
        folder: an index of tools/index.py.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = VectorIndex.load(folder)
        self.facts = self.base.facts
        self.items: list[Mapping[str, Any]] = list(self.base.items)
        self.base.items = self.items
        self.removed: set[int] = set()
        self.lock = threading.Lock()
        self._replay()

    def __len__(self) -> int:
        return len(self.items) - len(self.removed)

    def search(self, query: np.ndarray, k: int) -> list[tuple[int, Hit]]:
        """The ``k`` nearest of one query [D] that were not removed, best first, with their numbers."""
        with self.lock:
            scores, rows = self.base.nearest(query[None], min(k + len(self.removed), max(1, len(self.items))))
            pairs = zip(rows[0].tolist(), scores[0].tolist(), strict=True)
            return [
                (row, Hit(self.items[row], float(score)))
                for row, score in pairs
                if row >= 0 and row not in self.removed
            ][:k]

    def add(self, vector: np.ndarray, item: Mapping[str, Any]) -> int:
        """Add one vector [D]; the number of its item."""
        units = unit_rows(vector[None])
        if units.shape[1] != self.base.index.d:
            raise DataError(f"the index has vectors of {self.base.index.d} numbers, not {units.shape[1]}")
        with self.lock:
            packed = base64.b64encode(units[0].tobytes()).decode()
            self._write({"add": dict(item), "vector": packed})
            return self._added(units, [item])

    def remove(self, number: int) -> None:
        """Remove an item. Raises DataError where it is not there."""
        with self.lock:
            self._item(number)
            self._write({"remove": number})
            self.removed.add(number)

    def item(self, number: int) -> Mapping[str, Any]:
        """What a number stands for. Raises DataError where it is not there."""
        with self.lock:
            return self._item(number)

    def _item(self, number: int) -> Mapping[str, Any]:
        if not 0 <= number < len(self.items) or number in self.removed:
            raise DataError(f"the index has no item {number}")
        return self.items[number]

    def _added(self, units: np.ndarray, items: Sequence[Mapping[str, Any]]) -> int:
        self.base.index.add(units)
        self.items.extend(items)
        return len(self.items) - 1

    def _write(self, change: Mapping[str, Any]) -> None:
        """A line that is on the disk when this returns. Raises DataError where it cannot be written."""
        line = (json.dumps(change, ensure_ascii=False) + "\n").encode()
        try:
            with (self.folder / JOURNAL).open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{self.folder}: the change cannot be kept: {error.strerror}") from error

    def _replay(self) -> None:
        """Apply the journal; cut off what a kill has left of its last line."""
        path = self.folder / JOURNAL
        if not path.is_file():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                change = json.loads(line)
                if "remove" in change:
                    self._item(change["remove"])
                    self.removed.add(change["remove"])
                else:
                    vector = np.frombuffer(base64.b64decode(change["vector"]), np.float32)
                    self._added(unit_rows(vector[None]), [change["add"]])
            except (ValueError, KeyError, TypeError, AssertionError) as error:
                raise DataError(f"{path}:{number} is not a change of this index: {error}") from error
