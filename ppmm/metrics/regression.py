"""Errors of predicted numbers: MAE, RMSE and R2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["Regression"]


@METRICS.register("regression")
class Regression:
    """``mae``, ``rmse`` (both in the target's unit) and ``r2``, the part of the variance that is explained.

    R2 is 1 - sum of squared errors / sum of squared deviations from the mean, needs two rows, and is 0 (1 without any
    error) where all targets are equal, as scikit-learn's ``r2_score``. The deviations are merged from batch to batch
    (Chan et al. 1979), so that a large mean costs no digits.

    Args:
        target: batch key of the numbers, [B] or [B,1].
        logits: output key of the predictions, [B] or [B,1].
    """

    target_kinds = ("number",)

    def __init__(self, target: str, logits: str = "logits") -> None:
        self.target, self.logits = target, logits
        self.reset()

    def reset(self) -> None:
        self.rows = 0
        self.absolute = self.squared = self.mean = self.deviation = 0.0

    def update(self, outputs: Outputs, batch: Batch) -> None:
        predicted = np.asarray(outputs[self.logits], dtype=np.float64)
        wanted = np.asarray(batch[self.target], dtype=np.float64)
        if predicted.size != len(predicted) or wanted.size != predicted.size:
            raise DataError(
                f"a number per row is needed, but {self.logits} is {list(predicted.shape)} and {self.target} "
                f"{list(wanted.shape)}"
            )
        if not wanted.size:
            return
        wanted = wanted.reshape(-1)
        error = predicted.reshape(-1) - wanted
        self.absolute += float(np.abs(error).sum())
        self.squared += float((error**2).sum())
        rows, mean = len(wanted), float(wanted.mean())
        shift = mean - self.mean
        self.deviation += float(((wanted - mean) ** 2).sum()) + shift**2 * self.rows * rows / (self.rows + rows)
        self.rows += rows
        self.mean += shift * rows / self.rows

    def compute(self) -> dict[str, float]:
        if not self.rows:
            return dict.fromkeys(("mae", "rmse", "r2"), float("nan"))
        return {"mae": self.absolute / self.rows, "rmse": math.sqrt(self.squared / self.rows), "r2": self._explained()}

    def _explained(self) -> float:
        if self.rows < 2:
            return float("nan")
        if self.deviation == 0:
            return 0.0 if self.squared else 1.0
        return 1.0 - self.squared / self.deviation

    def details(self) -> dict[str, Any]:
        return {}
