"""Scores and truth of every row and class, for metrics that must see them all: ROC, precision and recall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ppmm.errors import DataError
from ppmm.metrics.row_blocks import RowBlocks
from ppmm.types import Batch, Outputs

__all__ = ["ClassCurve", "ClassScores", "Counts", "counts_by_threshold", "log_odds"]

MAX_CURVES, MAX_POINTS = 8, 200


class Counts(NamedTuple):
    """Of the rows that score at least each distinct threshold, from high to low: ``right`` and ``wrong`` [T] int64."""

    right: np.ndarray
    wrong: np.ndarray


class ClassCurve(NamedTuple):
    """``area`` under the curve through ``x``, ``y`` [T]."""

    area: float
    x: np.ndarray
    y: np.ndarray


def counts_by_threshold(truth: np.ndarray, scores: np.ndarray) -> Counts:
    """Cumulated counts; rows of one score enter together, so that their order does not matter.

    Args:
        truth: bool [N].
        scores: [N]; what is not a number is the lowest of all.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)
    right = np.cumsum(truth[order])[ends]
    return Counts(right, ends + 1 - right)


def log_odds(logits: np.ndarray) -> np.ndarray:
    """Logits [B,C] -> log(p / (1 - p)) of each class's softmax probability, without its saturation at 1; float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    others = np.exp(shifted)
    others[rows, best] = 0.0
    rest = others.sum(axis=1)  # of all but the best, whose own term is 1
    odds = shifted - np.log(1.0 + rest[:, None] - others)
    odds[rows, best] = -np.log(np.maximum(rest, np.finfo(float).tiny))
    return odds


class ClassScores:
    """Base of curves over classes: the answer of one class against all others, and the mean over the classes.

    ``target`` holds class ids [B] or, for rows with several labels, 0 or 1 for each class [B,classes]. Of two classes
    there is one curve, that of the second. A class for which the curve is not defined is left out of the mean and is
    null in ``details``. All scores are kept: 4 bytes each.

    Args:
        target: batch key, [B] or [B,classes].
        logits: output key, [B,classes].
        memory_mb: DataError beyond so many MiB of scores.
        labels: the class names of each target.
    """

    target_kinds = ("multi_label", "label")
    name = ""
    axes = ("", "")

    def __init__(
        self,
        target: str,
        logits: str = "logits",
        memory_mb: int = 2048,
        labels: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.target, self.logits, self.memory_mb = target, logits, memory_mb
        self.labels = list((labels or {}).get(target, ()))
        self.reset()

    def reset(self) -> None:
        self._scores = RowBlocks(self.memory_mb)
        self._truth: list[np.ndarray] = []
        self._known: list[tuple[str, ClassCurve | None]] | None = None

    def update(self, outputs: Outputs, batch: Batch) -> None:
        logits, truth = np.asarray(outputs[self.logits]), np.asarray(batch[self.target])
        self._known = None
        if truth.shape == logits.shape:
            self._scores.append(logits)
            self._truth.append(truth > 0.5)
            return
        if truth.size != len(logits):
            raise DataError(
                f"{self.target} {list(truth.shape)} must be class ids [{len(logits)}] or have the shape of "
                f"{self.logits}, {list(logits.shape)}"
            )
        binary = logits.shape[1] == 2
        self._scores.append(logits[:, 1:] - logits[:, :1] if binary else log_odds(logits))
        self._truth.append(truth.reshape(-1))

    def curve(self, counts: Counts) -> ClassCurve | None:
        """Of one class; None where it is not defined."""
        raise NotImplementedError

    def compute(self) -> dict[str, float]:
        areas = [curve.area for _, curve in self._curves() if curve is not None]
        return {self.name: float(np.mean(areas)) if areas else float("nan")}

    def details(self) -> dict[str, Any]:
        curves = self._curves()
        drawn = sorted((curve.area, name) for name, curve in curves if curve is not None)[:MAX_CURVES]
        shown = {name for _, name in drawn}
        return {
            self.name: {
                "target": self.target,
                "axes": list(self.axes),
                "classes": {name: None if curve is None else curve.area for name, curve in curves},
                "curves": {name: _thin(curve) for name, curve in curves if curve is not None and name in shown},
            }
        }

    def _curves(self) -> list[tuple[str, ClassCurve | None]]:
        if self._known is None:
            self._known = [(name, self.curve(counts_by_threshold(*part))) for name, *part in self._columns()]
        return self._known

    def _columns(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Name, truth bool [N] and scores [N] of each class that has a curve."""
        if not self._truth:
            return
        truth, width = np.concatenate(self._truth), self._scores.width
        for number in range(width):
            wanted = 1 if width == 1 and truth.ndim == 1 else number
            name = self.labels[wanted] if wanted < len(self.labels) else f"class {wanted}"
            yield name, truth == wanted if truth.ndim == 1 else truth[:, number], self._scores.column(number)


def _thin(curve: ClassCurve) -> dict[str, list[float]]:
    """At most `MAX_POINTS` of the points, the first and last among them, to six digits."""
    chosen = np.unique(np.linspace(0, len(curve.x) - 1, MAX_POINTS).round().astype(int))
    return {"x": [round(float(x), 6) for x in curve.x[chosen]], "y": [round(float(y), 6) for y in curve.y[chosen]]}
