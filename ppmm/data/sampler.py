"""Which rows make which batch: a pure function of (seed, epoch), so that resuming needs only a position."""

from __future__ import annotations

import numpy as np

__all__ = ["epoch_batches"]


def epoch_batches(
    rows: int, batch_size: int, *, seed: int = 0, epoch: int = 0, shuffle: bool = False, drop_last: bool = False
) -> list[list[tuple[int, int]]]:
    """The batches of one epoch, each a list of (epoch, row).

    Every row occurs once; with ``drop_last`` the incomplete last batch is left out, unless it is the only one.
    """
    order = np.random.default_rng([seed, epoch]).permutation(rows) if shuffle else np.arange(rows)
    batches = [[(epoch, int(row)) for row in order[start : start + batch_size]] for start in range(0, rows, batch_size)]
    if drop_last and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return batches
