"""Which rows make which batch: a pure function of (seed, epoch), so that resuming needs only a position."""

from __future__ import annotations

import numpy as np

__all__ = ["bucketed", "cut", "numbered", "plain_order", "share_of"]

BUCKETS = 1
"""Sets the draws of buckets apart from those of the order itself."""


def plain_order(rows: int, *, seed: int = 0, epoch: int = 0, shuffle: bool = False) -> np.ndarray:
    """Every row once, int64 [rows]."""
    if shuffle:
        return np.random.default_rng([seed, epoch]).permutation(rows)
    return np.arange(rows, dtype=np.int64)


def numbered(order: np.ndarray, epoch: int) -> np.ndarray:
    """Keys int64 [N, 2] of (pass, row). The pass is the epoch; where an order holds a row again, that occurrence has
    another pass, so that it is augmented in another way."""
    passes = np.full(len(order), epoch, dtype=np.int64)
    sort = np.argsort(order, kind="stable")
    ordered = order[sort]
    first = np.r_[True, ordered[1:] != ordered[:-1]] if len(order) else np.zeros(0, dtype=bool)
    position = np.arange(len(order))
    occurrence = position - np.maximum.accumulate(np.where(first, position, 0)) if len(order) else position
    passes[sort] += occurrence << 32
    return np.stack([passes, order.astype(np.int64)], axis=1)


def cut(keys: np.ndarray, batch_size: int, drop_last: bool = False) -> list[np.ndarray]:
    """Keys -> batches; with ``drop_last`` an incomplete last one is left out, unless it is the only one."""
    batches = [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
    if drop_last and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return batches


def bucketed(
    keys: np.ndarray, lengths: np.ndarray, batch_size: int, window: int, *, seed: int = 0, epoch: int = 0
) -> np.ndarray:
    """Reorder keys so that the rows of a batch are alike long.

    Within each ``window`` batches of the given order, rows are sorted by length, cut, and the batches shuffled; an
    incomplete last batch stays last.

    Args:
        keys: int64 [N, 2] of (pass, row).
        lengths: of each row of the data set.
    """
    rng = np.random.default_rng([seed, epoch, BUCKETS])
    done = []
    for start in range(0, len(keys), window * batch_size):
        part = keys[start : start + window * batch_size]
        batches = cut(part[np.argsort(lengths[part[:, 1]], kind="stable")], batch_size)
        whole = len(part) // batch_size
        done += [batches[number] for number in rng.permutation(whole)] + batches[whole:]
    return np.concatenate(done) if done else keys


def share_of(batches: list[np.ndarray], rank: int, world: int) -> list[np.ndarray]:
    """The part of each batch that one of ``world`` processes takes, none lost and none twice.

    All of them get as many parts; where a batch has fewer rows than there are processes, some of them are empty.
    """
    if world == 1:
        return batches
    return [np.array_split(batch, world)[rank] for batch in batches]
