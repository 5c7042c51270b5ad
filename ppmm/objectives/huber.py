"""Huber loss: regression that outliers do not rule."""

from __future__ import annotations

import math

import paddle
from paddle import Tensor

from ppmm.objectives.mse import regression_errors
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["Huber"]


@OBJECTIVES.register("huber")
class Huber:
    """L = mean_i h(z_i - y_i), h(e) = e**2 / 2 where |e| <= delta, delta (|e| - delta / 2) elsewhere (Huber 1964).

    Args:
        target: batch key of the numbers, [B] float32.
        delta: from where on the loss grows no faster than the error, in units of the target.
        logits: output key, [B,1] or [B].

    Returns: ``loss``, a scalar.
    """

    target_kinds = ("number",)

    def __init__(self, target: str, delta: float = 1.0, logits: str = "logits") -> None:
        if not 0 < delta < math.inf:
            raise ValueError(f"delta must be above 0, got {delta}")
        self.target, self.delta, self.logits = target, delta, logits

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        sizes = regression_errors(outputs[self.logits], batch[self.target]).abs()
        near = paddle.clip(sizes, max=self.delta)
        return {"loss": (near * (sizes - near / 2)).mean()}
