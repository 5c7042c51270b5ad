"""Ranks of the relevant candidates of many queries, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Ranks", "rank_relevant"]

TOLERANCE = 1e-6
"""Scores closer than this are equal: the float32 score of one pair differs by so much with its place in a matrix."""
FEW = 16
"""Up to so many relevant candidates, counting once for each is faster than sorting all."""


class Ranks(NamedTuple):
    """``first`` [Q] int64: rank of the best relevant candidate, from 1, or 0 where there is none to be found;
    ``precision`` [Q] float64: average precision."""

    first: np.ndarray
    precision: np.ndarray


def rank_relevant(
    queries: Iterable[np.ndarray],
    query_keys: np.ndarray,
    candidates: Sequence[np.ndarray],
    candidate_keys: np.ndarray,
    scores_mb: int = 128,
) -> Ranks:
    """Rank all candidates of each query by inner product; those of the query's key are relevant.

    A tie counts against the model: what is not relevant and scores the same stands before. A relevant candidate is
    never in another's way for ``first``. Scores that are not numbers stand before everything as wrong answers and
    behind everything as right ones.

    Args:
        queries: blocks [*,D] float32 of Q rows in all.
        query_keys: int64 [Q].
        candidates: blocks [*,D] float32 of N rows in all.
        candidate_keys: int64 [N].
        scores_mb: MiB for the scores that are computed at once, at least one row of N.
    """
    order = np.argsort(candidate_keys, kind="stable")
    low, high = (np.searchsorted(candidate_keys[order], query_keys, side) for side in ("left", "right"))
    first = np.zeros(len(query_keys), dtype=np.int64)
    precision = np.zeros(len(query_keys))
    rows = max(1, (scores_mb << 18) // max(1, len(candidate_keys)))
    buffer = np.empty((min(rows, len(query_keys)), len(candidate_keys)), dtype=np.float32)
    number = 0
    for block in queries:
        for begin in range(0, len(block), rows):
            for scores in _scores(block[begin : begin + rows], candidates, buffer):
                relevant = scores[order[low[number] : high[number]]]
                if len(relevant):
                    ranks = _ranks(scores, relevant)
                    first[number] = ranks[0]
                    precision[number] = (np.arange(1, len(ranks) + 1) / ranks).mean()
                number += 1
    return Ranks(first, precision)


def _scores(queries: np.ndarray, candidates: Sequence[np.ndarray], buffer: np.ndarray) -> np.ndarray:
    """Inner products [rows,N], in ``buffer``."""
    column = 0
    for block in candidates:
        np.matmul(queries, block.T, out=buffer[: len(queries), column : column + len(block)])
        column += len(block)
    return buffer[: len(queries)]


def _ranks(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Ranks of the relevant candidates, the best first, when what ties with them stands before them.

    Args:
        scores: of all candidates, [N].
        relevant: those of them that are relevant, [P].
    """
    relevant = -np.sort(-relevant)  # what is not a number comes last
    thresholds = relevant - np.float32(TOLERANCE)
    wrong_before = _not_below(scores, thresholds) - _not_below(relevant, thresholds)
    return wrong_before + np.arange(1, len(relevant) + 1)


def _not_below(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many values are not below each threshold; written so that what is not a number counts."""
    if len(thresholds) <= FEW:
        return np.array([len(values) - np.count_nonzero(values < threshold) for threshold in thresholds])
    below = np.searchsorted(np.sort(values), thresholds, "left")
    return len(values) - np.where(np.isnan(thresholds), 0, below)
