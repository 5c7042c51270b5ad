"""Arrays handed from one process to another through memory that has no name, so that nothing is left after a kill."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

__all__ = ["Layout", "SharedArrays"]

ALIGN = 64
SPARE = 1.25
"""Room for larger batches to come, so that the memory is not mapped anew for each."""


class Layout(NamedTuple):
    """Where arrays stand: bytes of the whole, and (name, dtype, shape, offset) of each."""

    size: int
    arrays: list[tuple[str, str, tuple[int, ...], int]]


class SharedArrays:
    """A piece of memory (``memfd_create``) that forked processes share. It grows as needed.

    Unlike ``multiprocessing.shared_memory`` it has no name that must be unlinked, and /dev/shm, which is 64 MB in many
    containers, does not limit it. The kernel frees it with the last process that has it.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("ppmm-batch")
        self._map: mmap.mmap | None = None

    def write(self, arrays: Mapping[str, np.ndarray]) -> Layout:
        """Copy arrays in, over those of before."""
        entries, size = [], 0
        for name, array in arrays.items():
            entries.append((name, array.dtype.str, array.shape, size))
            size += -(-array.nbytes // ALIGN) * ALIGN
        if self._map is None or len(self._map) < size:
            room = max(mmap.PAGESIZE, int(size * SPARE))
            os.ftruncate(self._file, room)
            self._map = mmap.mmap(self._file, room)
        for (_, dtype, shape, offset), array in zip(entries, arrays.values(), strict=True):
            np.ndarray(shape, dtype, self._map, offset)[...] = array
        return Layout(len(self._map), entries)

    def read(self, layout: Layout) -> dict[str, np.ndarray]:
        """The arrays that another process has written: views, good until it writes again."""
        if self._map is None or len(self._map) != layout.size:
            self._map = mmap.mmap(self._file, layout.size)
        return {name: np.ndarray(shape, dtype, self._map, offset) for name, dtype, shape, offset in layout.arrays}

    def close(self) -> None:
        """Give the memory back, as soon as no view is left."""
        self._map = None
        os.close(self._file)
