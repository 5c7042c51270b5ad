"""What is taken for what: the confusion matrix and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["ClassReport", "ConfusionMatrix", "MacroF1", "class_figures"]


def class_figures(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class from counts [true, predicted]; 0 where undefined, as scikit-learn."""
    right = np.diag(matrix).astype(float)
    predicted, actual = matrix.sum(axis=0), matrix.sum(axis=1)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=predicted > 0)
    recall = np.divide(right, actual, out=np.zeros_like(right), where=actual > 0)
    total = precision + recall
    return precision, recall, np.divide(2 * precision * recall, total, out=np.zeros_like(right), where=total > 0)


@METRICS.register("confusion_matrix")
class ConfusionMatrix:
    """Counts [true, predicted] of every pair of classes, as ``details``.

    Args:
        target: batch key of the class ids, [B].
        logits: output key, [B,classes].
        labels: the class names of each target.
    """

    target_kinds = ("label",)

    def __init__(self, target: str, logits: str = "logits", labels: Mapping[str, Sequence[str]] | None = None) -> None:
        if not labels or target not in labels:
            raise ValueError(f"no class labels are known for target '{target}'")
        self.target, self.logits = target, logits
        self.labels = list(labels[target])
        self.reset()

    def reset(self) -> None:
        self.matrix = np.zeros((len(self.labels), len(self.labels)), dtype=np.int64)

    def update(self, outputs: Outputs, batch: Batch) -> None:
        labels = np.asarray(batch[self.target]).reshape(-1)
        logits = np.asarray(outputs[self.logits])
        predicted = np.where(np.isnan(logits), -np.inf, logits).argmax(axis=-1)
        np.add.at(self.matrix, (labels, predicted), 1)

    def compute(self) -> dict[str, float]:
        return {}

    def details(self) -> dict[str, Any]:
        return {"confusion_matrix": {"target": self.target, "labels": self.labels, "counts": self.matrix.tolist()}}


@METRICS.register("macro_f1")
class MacroF1(ConfusionMatrix):
    """Mean of the F1 of the classes that occur, as truth or as prediction; arguments as `ConfusionMatrix`."""

    def compute(self) -> dict[str, float]:
        occurs = (self.matrix.sum(axis=0) + self.matrix.sum(axis=1)) > 0
        f1 = class_figures(self.matrix)[2]
        return {"macro_f1": float(f1[occurs].mean()) if occurs.any() else float("nan")}

    def details(self) -> dict[str, Any]:
        return {}


@METRICS.register("class_report")
class ClassReport(ConfusionMatrix):
    """Precision, recall, F1 and number of rows of each class, as ``details``; arguments as `ConfusionMatrix`."""

    def details(self) -> dict[str, Any]:
        rows = zip(self.labels, *class_figures(self.matrix), self.matrix.sum(axis=1), strict=True)
        report = {
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
            for label, p, r, f, n in rows
        }
        return {"class_report": {"target": self.target, "classes": report}}
