"""Rows kept over many batches, without a copy when they grow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ppmm.errors import DataError

__all__ = ["RowBlocks"]

BLOCK_ROWS = 8192


class RowBlocks:
    """Float32 rows of one width in blocks of `BLOCK_ROWS`; memory that is not written to is not taken.

    Args:
        memory_mb: raise DataError beyond so many MiB; None for no bound.
    """

    def __init__(self, memory_mb: int | None = None) -> None:
        self.memory_mb = memory_mb
        self._blocks: list[np.ndarray] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def width(self) -> int:
        """Numbers in a row; 0 before there is one."""
        return self._blocks[0].shape[1] if self._blocks else 0

    def append(self, rows: np.ndarray) -> None:
        """Copy ``rows`` [N,width] behind the others. Raises DataError for another width or too much memory."""
        if self._blocks and rows.shape[1] != self.width:
            raise DataError(f"rows of {rows.shape[1]} numbers after rows of {self.width}")
        total = (self._rows + len(rows)) * rows.shape[1] * 4 >> 20
        if self.memory_mb is not None and total > self.memory_mb:
            raise DataError(
                f"{self._rows + len(rows):,} rows of {rows.shape[1]:,} scores take {total:,} MiB, more than memory_mb "
                f"{self.memory_mb:,}: raise it or evaluate fewer rows"
            )
        done = 0
        while done < len(rows):
            used = self._rows % BLOCK_ROWS
            if used == 0:
                self._blocks.append(np.empty((BLOCK_ROWS, rows.shape[1]), dtype=np.float32))
            part = rows[done : done + BLOCK_ROWS - used]
            self._blocks[-1][used : used + len(part)] = part
            self._rows += len(part)
            done += len(part)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks [<=BLOCK_ROWS,width] in order; views, so do not keep them beyond a reset."""
        for number, block in enumerate(self._blocks):
            yield block[: self._rows - number * BLOCK_ROWS]

    def column(self, number: int) -> np.ndarray:
        """One column [N]."""
        return np.concatenate([block[:, number] for block in self]) if self._rows else np.zeros(0, dtype=np.float32)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Rows by number [K] -> a copy [K,width]."""
        taken = np.empty((len(rows), self.width), dtype=np.float32)
        for position, row in enumerate(rows):
            taken[position] = self._blocks[row // BLOCK_ROWS][row % BLOCK_ROWS]
        return taken
