"""Cross entropy over classes, with label smoothing (Szegedy et al. 2016) and class weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import paddle
from paddle import Tensor
from paddle.nn import functional as F

from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["CrossEntropy", "balanced_weights"]


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights n / (classes * n_c), as scikit-learn's ``balanced``; a class without rows gets 0."""
    total, classes = sum(counts), len(counts)
    return [total / (classes * count) if count else 0.0 for count in counts]


@OBJECTIVES.register("cross_entropy")
class CrossEntropy:
    """L = sum_i w_i H(q_i, softmax(z_i)) / sum_i w_i, with q_i = (1 - s) p_i + s / classes and w_i = sum_c p_ic w_c.

    p_i is onehot(y_i), or the distribution ``soft_<target>`` [B,classes] where mixup or CutMix put one into the batch.

    Args:
        target: batch key of the class ids, [B] int64.
        label_smoothing: s, in [0, 1).
        class_weights: one weight per class in the order of the labels, ``balanced`` (from the training split), or None.
        logits: output key, [B,classes].
        class_counts: rows of each class in the training split, for ``balanced``.

    Returns: ``loss``, a scalar.
    """

    target_kinds = ("label",)
    takes_soft_targets = True
    """Mixed batches may be given to it."""

    def __init__(
        self,
        target: str,
        label_smoothing: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
        logits: str = "logits",
        class_counts: dict[str, list[int]] | None = None,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        if class_weights == "balanced":
            if not class_counts or target not in class_counts:
                raise ValueError("class_weights: balanced needs the class counts of the training split")
            class_weights = balanced_weights(class_counts[target])
        if class_weights is not None and not all(0 <= weight < math.inf for weight in class_weights):
            raise ValueError(f"class_weights must not be negative, got {class_weights}")
        self.target = target
        self.logits = logits
        self.label_smoothing = label_smoothing
        self.class_weights: list[float] | None = class_weights
        self.whole_batch = class_weights is not None
        """The sum of the weights is over the batch."""

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        logits = outputs[self.logits].astype("float32")
        labels, soft = batch[self.target], batch.get(f"soft_{self.target}")
        log_probabilities = F.log_softmax(logits, axis=-1)
        costs = self.costs(log_probabilities)
        if soft is None:
            picked = paddle.take_along_axis(costs, labels.unsqueeze(-1), axis=-1).squeeze(-1)
        else:
            picked = (soft * costs).sum(axis=-1)
        losses = (1 - self.label_smoothing) * picked + self.label_smoothing * costs.mean(axis=-1)
        if self.class_weights is None:
            return {"loss": losses.mean()}
        if len(self.class_weights) != logits.shape[-1]:
            raise ValueError(f"class_weights has {len(self.class_weights)} weights for {logits.shape[-1]} classes")
        of_class = paddle.to_tensor(np.asarray(self.class_weights, "float32"))
        weights = of_class[labels] if soft is None else (soft * of_class).sum(axis=-1)
        return {"loss": (weights * losses).sum() / paddle.clip(weights.sum(), min=1e-12)}

    def costs(self, log_probabilities: Tensor) -> Tensor:
        """What each class [B,classes] costs, were it the right one."""
        return -log_probabilities
