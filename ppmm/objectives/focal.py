"""Focal loss over classes: what is easy counts less."""

from __future__ import annotations

from typing import Literal

import paddle
from paddle import Tensor

from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.registry import OBJECTIVES

__all__ = ["Focal"]


@OBJECTIVES.register("focal")
class Focal(CrossEntropy):
    """L = sum_i w_i (1 - p_i)**gamma log(1 / p_i) / sum_i w_i, with p_i the probability of the right class.

    Equation 4 of Lin et al. 2017, over a softmax; w is their alpha. For several labels at once see ``bce``.

    Args:
        target: batch key of the class ids, [B] int64.
        gamma: 0 gives cross entropy; the paper has 2.
        class_weights: one weight per class in the order of the labels, ``balanced`` (from the training split), or None.
        logits: output key, [B,classes].
        class_counts: rows of each class in the training split, for ``balanced``.

    Returns: ``loss``, a scalar.
    """

    def __init__(
        self,
        target: str,
        gamma: float = 2.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
        logits: str = "logits",
        class_counts: dict[str, list[int]] | None = None,
    ) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        super().__init__(target, 0.0, class_weights, logits, class_counts)
        self.gamma = gamma

    def costs(self, log_probabilities: Tensor) -> Tensor:
        """[B,classes]; 1 - p is kept off 0, where a root (gamma below 1) has no finite slope."""
        rest = paddle.clip(-paddle.expm1(log_probabilities), min=1e-7)
        return -(rest**self.gamma) * log_probabilities
