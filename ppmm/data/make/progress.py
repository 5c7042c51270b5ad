"""Progress that reads well in a terminal and in a log file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["progress"]

Item = TypeVar("Item")
LINES = 10


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Pass ``items`` on; show a bar on a terminal, at most ten lines on stderr elsewhere."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=label, leave=False)
        return
    shown = 0
    for done, item in enumerate(items, 1):
        yield item
        if done * LINES // total > shown:
            shown = done * LINES // total
            print(f"{label}: {done:,} of {total:,}", file=sys.stderr, flush=True)
