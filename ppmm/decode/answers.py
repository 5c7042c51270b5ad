"""What a model's output says of a target, by the target's kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.decode.classes import logits_of, ranked

__all__ = ["ANSWERED_KINDS", "target_answers"]

ANSWERED_KINDS = ("label", "multi_label", "number")
"""Kinds of target that a model answers; a ``key`` only tells which rows belong together."""
EVEN = 0.5


def target_answers(
    target: str,
    kind: str,
    labels: Sequence[str] | None,
    logits: np.ndarray,
    thresholds: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """For each row of ``logits`` [B,C] the entries of its answer.

    Of a ``label`` the most probable one and ``probabilities`` by label, largest first; of a ``multi_label`` those whose
    probability is at least their threshold, the ``probabilities`` likewise, each for itself, and the ``thresholds`` by
    label in the same order; of a ``number`` the number.

    Args:
        thresholds: of a ``multi_label``, in the order of the labels; 1/2 each when None.
    """
    if kind == "number":
        return [{target: float(value)} for value in np.asarray(logits, dtype=np.float64).reshape(len(logits), -1)[:, 0]]
    names = list(labels or [])
    if kind == "multi_label":
        limits = [EVEN] * len(names) if thresholds is None else list(thresholds)
        return [_several(target, names, limits, row) for row in np.asarray(logits, dtype=np.float64)]
    return [{target: next(iter(row)), "probabilities": row} for row in ranked(names, logits)]


def _several(target: str, labels: Sequence[str], limits: Sequence[float], logits: np.ndarray) -> dict[str, Any]:
    """The answer to one row, logits [C]: probability 1 / (1 + exp(-z)) of each label by itself, the largest first.

    Ties stand in the order of the labels.
    """
    shares, given = np.exp(-np.logaddexp(0.0, -logits)), logits >= logits_of(limits)
    order = np.argsort(-shares, kind="stable")
    return {
        target: [labels[index] for index in order if given[index]],
        "probabilities": {labels[index]: float(shares[index]) for index in order},
        "thresholds": {labels[index]: float(limits[index]) for index in order},
    }
