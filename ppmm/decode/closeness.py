"""How close two answers are: what the parity gate asks at export, and the self-test on another machine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["COSINES", "cosine", "largest_difference"]

COSINES = {"fp16": 0.999, "bf16": 0.999, "int8": 0.95}
"""Precision -> least cosine between the model's outputs and the graph's, over the batches of a case."""


def cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Cosine of the angle between two arrays [n]; not a number where shapes differ or something is not finite."""
    if ours.shape != theirs.shape or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return float("nan")
    lengths = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
    if lengths == 0.0:
        return 1.0 if np.array_equal(ours, theirs) else 0.0
    return float((ours * theirs).sum() / lengths)


def largest_difference(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
    """Largest absolute difference over all outputs; infinite when a name, shape or a finite value is missing."""
    worst = 0.0 if expected else float("inf")
    for name, array in expected.items():
        other = found.get(name)
        if other is None or other.shape != array.shape or not np.isfinite(other).all() or not np.isfinite(array).all():
            return float("inf")
        worst = max(worst, float(np.abs(array.astype(np.float64) - other).max(initial=0.0)))
    return worst
