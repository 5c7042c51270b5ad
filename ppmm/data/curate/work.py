"""Cells through a function, in parallel, remembered: what check, dedup and stats have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from ppmm.data.curate.journal import Journal, fingerprint
from ppmm.data.make.progress import progress

__all__ = ["Cell", "Engine", "blocks", "cell_keys", "run_cells"]

PIECE = 32
"""Cells that travel to a worker at once."""
BLOCK, BLOCK_BYTES = 100_000, 256 << 20
"""Cells that are held at once, and bytes of them."""
Item = TypeVar("Item")


class Cell(NamedTuple):
    """A value to be looked at, and as what."""

    kind: str
    value: Any


class Engine(Protocol):
    """Runs pieces of work, here or elsewhere."""

    def map(
        self, function: Callable[[Any], Any], pieces: Sequence[Any], lost: Callable[[Any], Any] | None = None
    ) -> Iterator[tuple[int, Any]]: ...


def blocks(items: Iterable[Item], value: Callable[[Item], Any]) -> Iterator[list[Item]]:
    """Runs of at most `BLOCK` items and about `BLOCK_BYTES` in the values of an item, to bound the memory.

    Data sets may hold files as bytes, and decoded pictures and recordings.
    """
    block: list[Item] = []
    size = 0
    for item in items:
        block.append(item)
        size += _bytes(value(item))
        if len(block) >= BLOCK or size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _bytes(value: Any) -> int:
    if isinstance(value, tuple | list):
        return sum(_bytes(part) for part in value)
    return int(getattr(value, "nbytes", 0)) or (len(value) if isinstance(value, str | bytes | bytearray) else 0)


def cell_keys(cells: Sequence[Cell], *arguments: Any) -> list[str]:
    """What the result of each cell depends on: kind, value, size and time of its file, and the arguments."""
    base = fingerprint(*arguments)
    return [fingerprint(base, cell.kind, _state(cell.value)) for cell in cells]


def run_cells(
    function: Callable[[list[Cell]], list[Any]],
    cells: Sequence[Cell],
    keys: Sequence[str],
    engine: Engine,
    journal: Journal,
    label: str,
    lost: Callable[[Cell], Any],
) -> list[Any]:
    """One JSON result per cell, in their order; equal cells are worked on once, known ones not at all.

    Args:
        function: importable; a list of cells -> their results.
        cells: the work.
        keys: of the cells, as `cell_keys` gives them.
        engine: who works.
        journal: what is known already; it is extended.
        label: of the progress bar.
        lost: the result for a cell that kills its worker.
    """
    todo = {key: cell for key, cell in zip(keys, cells, strict=True) if key not in journal.known}
    names, values = list(todo), list(todo.values())
    starts = range(0, len(values), PIECE)
    pieces = [values[start : start + PIECE] for start in starts]
    again: list[int] = []
    done = engine.map(function, pieces, lambda piece: None)
    for number, results in progress(done, max(1, len(pieces)), label):
        part = names[number * PIECE : number * PIECE + PIECE]
        if results is None:
            again.extend(range(number * PIECE, number * PIECE + len(part)))
        else:
            journal.add(dict(zip(part, results, strict=True)))
    # A piece that killed its worker: cell by cell, so that only the guilty one is lost.
    singles = engine.map(function, [[values[place]] for place in again], lambda piece: [lost(piece[0])])
    for number, results in singles:
        journal.add({names[again[number]]: results[0]})
    return [journal.known[key] for key in keys]


def _state(value: Any) -> Any:
    """A value as it enters a key."""
    if isinstance(value, Path):
        try:
            status = value.stat()
            return [str(value), status.st_size, status.st_mtime_ns]
        except (OSError, ValueError):
            return [str(value), None, None]
    if isinstance(value, bytes | bytearray | memoryview):
        import hashlib

        return hashlib.sha256(bytes(value)).hexdigest()
    if isinstance(value, tuple | list) or type(value).__module__ == "numpy":
        import hashlib

        import numpy as np

        parts = value if isinstance(value, tuple | list) else [value]
        return [hashlib.sha256(np.asarray(part).tobytes()).hexdigest() for part in parts]
    return str(value)
