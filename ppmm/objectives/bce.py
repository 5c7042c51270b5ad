"""Binary cross entropy for several labels at once."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import paddle
from paddle import Tensor
from paddle.nn import functional as F

from ppmm.errors import ConfigError
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["BinaryCrossEntropy"]


@OBJECTIVES.register("bce")
class BinaryCrossEntropy:
    """L = mean over rows i and classes c of w_c y_ic log(1 / p_ic) + (1 - y_ic) log(1 / (1 - p_ic)), p = sigmoid(z).

    With ``gamma`` each term is multiplied by (1 - q)**gamma, q the probability of what is true (focal loss, Lin et
    al. 2017, equation 4): easy negatives, of which there are many, count less.

    Args:
        target: batch key of the labels, [B,classes] float32 of 0 and 1.
        pos_weight: w_c, one per class in the order of the labels; ``balanced`` for rows without the label / rows with
            it in the training split (1 where no row has it), or None for 1.
        gamma: 0 for plain cross entropy.
        logits: output key, [B,classes].
        class_counts: rows with each label in the training split, for ``balanced``.
        train_rows: rows of the training split, for ``balanced``.

    Returns: ``loss``, a scalar.
    """

    target_kinds = ("attributes", "multi_label")

    def __init__(
        self,
        target: str,
        pos_weight: list[float] | Literal["balanced"] | None = None,
        gamma: float = 0.0,
        logits: str = "logits",
        class_counts: dict[str, list[int]] | None = None,
        train_rows: int | None = None,
    ) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        if pos_weight == "balanced":
            if not class_counts or target not in class_counts or train_rows is None:
                raise ValueError("pos_weight: balanced needs the class counts of the training split")
            pos_weight = [(train_rows - count) / count if count else 1.0 for count in class_counts[target]]
        if pos_weight is not None and not all(0 <= weight < math.inf for weight in pos_weight):
            raise ValueError(f"pos_weight must not be negative, got {pos_weight}")
        self.target, self.logits, self.gamma = target, logits, gamma
        self.pos_weight: list[float] | None = pos_weight

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        logits = outputs[self.logits].astype("float32")
        labels = batch[self.target]
        if list(logits.shape) != list(labels.shape):
            raise ConfigError(f"{self.logits} is {list(logits.shape)}, but {self.target} is {list(labels.shape)}")
        signed = logits * (2 * labels - 1)  # the logit of what is true
        losses = -F.log_sigmoid(signed)
        if self.gamma:
            losses = paddle.exp(self.gamma * F.log_sigmoid(-signed)) * losses
        if self.pos_weight is not None:
            if len(self.pos_weight) != logits.shape[-1]:
                raise ConfigError(f"pos_weight has {len(self.pos_weight)} weights for {logits.shape[-1]} classes")
            of_class = paddle.to_tensor(np.asarray(self.pos_weight, "float32"))
            losses = losses * (labels * of_class + 1 - labels)
        return {"loss": losses.mean()}
