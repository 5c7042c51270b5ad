"""Shuffling that reads shards nearly in sequence."""

from __future__ import annotations

import numpy as np

from ppmm.data.columns import group_starts
from ppmm.errors import ConfigError
from ppmm.registry import SAMPLERS
from ppmm.types import Dataset

__all__ = ["ShuffleBuffer"]

SHARDS = 3
"""Sets the draws apart from those of other orders."""


@SAMPLERS.register("shuffle_buffer")
class ShuffleBuffer:
    """Shards in random order, their rows in sequence through a buffer of which a random one is taken each time.

    Every row comes once. As with WebDataset's buffer, a row comes at most ``size`` places early, mostly not many more
    late: disks read ahead. Here the order is computed, so that any position can be resumed and any number of workers
    sees the same.

    Args:
        size: rows of the buffer.

    Raises:
        ConfigError: ``size`` below 1.
    """

    def __init__(self, size: int = 2000) -> None:
        if size < 1:
            raise ConfigError(f"size: {size} must be at least 1")
        self.size = size

    def order(self, rows: Dataset, seed: int, epoch: int) -> np.ndarray:
        """Row numbers of an epoch, int64 [rows]."""
        rng = np.random.default_rng([seed, epoch, SHARDS])
        starts = group_starts(rows)
        ends = np.r_[starts[1:], len(rows)]
        sequence = np.concatenate([np.arange(starts[shard], ends[shard]) for shard in rng.permutation(len(starts))])
        size = min(self.size, len(sequence))
        buffer, rest = sequence[:size].tolist(), sequence[size:].tolist()
        order = []
        for place, following in zip(rng.integers(size, size=len(rest)).tolist(), rest, strict=True):
            order.append(buffer[place])
            buffer[place] = following
        return np.asarray(order + rng.permutation(buffer).tolist(), dtype=np.int64)
