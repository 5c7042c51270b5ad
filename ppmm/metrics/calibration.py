"""Whether a probability means what it says: the expected calibration error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppmm.decode.classes import softmax
from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["CalibrationError"]

SCALE = 1 << 40  # confidences are summed as whole numbers of 2**-40: the order of the batches does not matter


@METRICS.register("ece")
class CalibrationError:
    """Expected calibration error: sum over bins of (rows in bin / rows) |accuracy - mean confidence| (Guo et al. 2017).

    Confidence is the largest softmax probability; bins are of equal width, open below. ``details`` has the reliability
    table.

    Args:
        target: batch key of the class ids, [B].
        bins: how many.
        logits: output key, [B,classes].
    """

    target_kinds = ("label",)

    def __init__(self, target: str, bins: int = 15, logits: str = "logits") -> None:
        if bins < 1:
            raise ValueError(f"bins must be at least 1, got {bins}")
        self.target, self.bins, self.logits = target, bins, logits
        self.reset()

    def reset(self) -> None:
        self.rows, self.right, self.confidence = (np.zeros(self.bins, dtype=np.int64) for _ in range(3))

    def update(self, outputs: Outputs, batch: Batch) -> None:
        labels = np.asarray(batch[self.target]).reshape(-1)
        probabilities = np.nan_to_num(softmax(np.asarray(outputs[self.logits], dtype=np.float64)))
        best = probabilities.argmax(axis=-1)
        sure = np.rint(probabilities[np.arange(len(best)), best] * SCALE).astype(np.int64)
        chosen = np.clip(-(-sure * self.bins // SCALE) - 1, 0, self.bins - 1)  # rounded up
        np.add.at(self.rows, chosen, 1)
        np.add.at(self.right, chosen, best == labels)
        np.add.at(self.confidence, chosen, sure)

    def compute(self) -> dict[str, float]:
        if not self.rows.any():
            return {"ece": float("nan")}
        return {"ece": float(np.abs(self.right - self.confidence / SCALE).sum() / self.rows.sum())}

    def details(self) -> dict[str, Any]:
        table = [
            {
                "from": number / self.bins,
                "to": (number + 1) / self.bins,
                "rows": int(rows),
                "confidence": float(sure / SCALE / rows) if rows else None,
                "accuracy": float(right / rows) if rows else None,
            }
            for number, (rows, right, sure) in enumerate(zip(self.rows, self.right, self.confidence, strict=True))
        ]
        return {"reliability": {"target": self.target, "bins": table}}
