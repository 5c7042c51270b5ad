"""Precision, recall and F1 where a row may have several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.decode.classes import logits_of
from ppmm.errors import DataError
from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["MultiLabelF1"]


@METRICS.register("multi_label_f1")
class MultiLabelF1:
    """``micro_f1`` over all rows and labels, ``macro_f1`` over the labels that occur, ``exact_match`` of whole rows.

    A label is given where its logit is at least the threshold, as in the model's answers. ``details`` has precision,
    recall, F1 and rows of each label; what is not defined is 0.

    Args:
        target: batch key of 0 or 1 for each label, [B,classes].
        threshold: of the logits; 0 is a probability of one half. None: the thresholds of the target.
        logits: output key, [B,classes].
        labels: the class names of each target.
        thresholds: the probability of each class from which it is given, by target; 1/2 where there are none.
    """

    target_kinds = ("multi_label",)

    def __init__(
        self,
        target: str,
        threshold: float | None = None,
        logits: str = "logits",
        labels: Mapping[str, Sequence[str]] | None = None,
        thresholds: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        if not labels or target not in labels:
            raise ValueError(f"no class labels are known for target '{target}'")
        self.target, self.logits, self.labels = target, logits, list(labels[target])
        of_target = (thresholds or {}).get(target, [0.5] * len(self.labels))
        self.limits = logits_of(of_target) if threshold is None else np.full(len(self.labels), threshold)
        self.reset()

    def reset(self) -> None:
        self.right, self.given, self.actual = (np.zeros(len(self.labels), dtype=np.int64) for _ in range(3))
        self.exact = self.rows = 0

    def update(self, outputs: Outputs, batch: Batch) -> None:
        logits = np.asarray(outputs[self.logits], dtype=np.float64)
        truth = np.asarray(batch[self.target]) > 0.5
        if not logits.shape == truth.shape == (len(logits), len(self.labels)):
            raise DataError(
                f"{self.logits} {list(logits.shape)} and {self.target} {list(truth.shape)} must both be "
                f"[rows, {len(self.labels)}]"
            )
        given = logits >= self.limits
        self.right += (given & truth).sum(axis=0)
        self.given += given.sum(axis=0)
        self.actual += truth.sum(axis=0)
        self.exact += int((given == truth).all(axis=1).sum())
        self.rows += len(given)

    def compute(self) -> dict[str, float]:
        if not self.rows:
            return dict.fromkeys(("micro_f1", "macro_f1", "exact_match"), float("nan"))
        f1, occurs = self._figures()[2], (self.given + self.actual) > 0
        micro = _share(2 * self.right.sum(keepdims=True), (self.given + self.actual).sum(keepdims=True))
        return {
            "micro_f1": float(micro[0]),
            "macro_f1": float(f1[occurs].mean()) if occurs.any() else float("nan"),
            "exact_match": self.exact / self.rows,
        }

    def details(self) -> dict[str, Any]:
        rows = zip(self.labels, *self._figures(), self.actual, strict=True)
        report = {
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
            for label, p, r, f, n in rows
        }
        return {"class_report": {"target": self.target, "classes": report}}

    def _figures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and F1 of each label."""
        precision, recall = _share(self.right, self.given), _share(self.right, self.actual)
        return precision, recall, _share(2 * self.right, self.given + self.actual)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
