"""Share of rows whose answer is right, or among the k best."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["Accuracy", "TopK"]


@METRICS.register("top_k")
class TopK:
    """Share of rows whose class is among the k largest logits; ties count in favour of the smaller class id.

    Args:
        target: batch key of the class ids, [B].
        k: how many answers may be given.
        logits: output key, [B,classes].
    """

    target_kinds = ("label",)

    def __init__(self, target: str, k: int = 5, logits: str = "logits") -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.target, self.k, self.logits = target, k, logits
        self.name = f"top{k}_accuracy"
        self.reset()

    def reset(self) -> None:
        self.right = self.seen = 0

    def update(self, outputs: Outputs, batch: Batch) -> None:
        labels = np.asarray(batch[self.target]).reshape(-1)
        best = np.argsort(-np.asarray(outputs[self.logits]), axis=-1, kind="stable")[:, : self.k]
        self.right += int((best == labels[:, None]).any(axis=1).sum())
        self.seen += len(labels)

    def compute(self) -> dict[str, float]:
        return {self.name: self.right / self.seen if self.seen else float("nan")}

    def details(self) -> dict[str, Any]:
        return {}


@METRICS.register("accuracy")
class Accuracy(TopK):
    """Share of rows whose class has the largest logit; arguments as `TopK` without k."""

    def __init__(self, target: str, logits: str = "logits") -> None:
        super().__init__(target, 1, logits)
        self.name = "accuracy"
