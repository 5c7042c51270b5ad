"""What a model's output says of a target, by the target's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.decode.classes import ranked

__all__ = ["ANSWERED_KINDS", "target_answers"]

ANSWERED_KINDS = ("label", "multi_label", "number")
"""Kinds of target that a model answers; a ``key`` only tells which rows belong together."""
THRESHOLD = 0.5


def target_answers(target: str, kind: str, labels: Sequence[str] | None, logits: np.ndarray) -> list[dict[str, Any]]:
    """For each row of ``logits`` [B,C] the entries of its answer.

    Of a ``label`` the most probable one and ``probabilities`` by label, largest first; of a ``multi_label`` those with
    a probability of at least 1/2 and the ``probabilities`` likewise, each for itself; of a ``number`` the number.
    """
    if kind == "number":
        return [{target: float(value)} for value in np.asarray(logits, dtype=np.float64).reshape(len(logits), -1)[:, 0]]
    names = list(labels or [])
    if kind == "multi_label":
        rows = [_likely(names, row) for row in np.asarray(logits, dtype=np.float64)]
        chosen = [[name for name, value in row.items() if value >= THRESHOLD] for row in rows]
        return [{target: names, "probabilities": row} for names, row in zip(chosen, rows, strict=True)]
    return [{target: next(iter(row)), "probabilities": row} for row in ranked(names, logits)]


def _likely(labels: Sequence[str], logits: np.ndarray) -> Mapping[str, float]:
    """Probability 1 / (1 + exp(-z)) of each label by itself, the largest first; ties in the order of the labels."""
    shares = np.exp(-np.logaddexp(0.0, -logits))
    return {labels[index]: float(shares[index]) for index in np.argsort(-shares, kind="stable")}
