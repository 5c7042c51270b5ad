"""Logits -> probabilities and labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["logits_of", "ranked", "softmax"]


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(z) / sum exp(z) along the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def ranked(labels: Sequence[str], logits: np.ndarray) -> list[dict[str, float]]:
    """For each row of ``logits`` [B,C]: probability by label, the largest first; ties in the order of the labels."""
    return [{labels[index]: float(row[index]) for index in np.argsort(-row, kind="stable")} for row in softmax(logits)]


def logits_of(probabilities: Sequence[float]) -> np.ndarray:
    """log(p / (1 - p)) of each, in float64: 0 for 1/2. ``z >= logits_of(p)`` says that sigmoid(z) is at least p."""
    values = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(np.log(values) - np.log1p(-values))
