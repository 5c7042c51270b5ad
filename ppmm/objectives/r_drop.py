"""R-Drop: two forwards of one batch, with different dropout, must agree."""

from __future__ import annotations

import math

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Objective, Outputs

__all__ = ["RDrop"]


@OBJECTIVES.register("r_drop")
class RDrop(nn.Layer):
    """L = (L_1 + L_2) / 2 + alpha (KL(p_1 || p_2) + KL(p_2 || p_1)) / 2, mean over rows (Liang et al. 2021).

    1 and 2 are two forwards of the same batch, p their softmax. The paper's equation 4 is twice this with its alpha
    twice ours: the loss stays comparable to one without R-Drop. In evaluation, without dropout, it is that of
    ``objective``.

    Args:
        objective: what is learned from labels, such as ``cross_entropy``.
        alpha: weight of the agreement; the paper's 1 to 5 for text and 0.6 for images are 0.5 to 2.5 and 0.3 here.
        logits: output key, [B,classes].

    Returns: ``loss``; in training also ``disagreement``, the mean of the two divergences.
    """

    passes = 2

    def __init__(self, objective: Objective, alpha: float = 1.0, logits: str = "logits") -> None:
        super().__init__()
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha must not be negative, got {alpha}")
        if getattr(objective, "passes", 1) != 1:
            raise ValueError("objective: it has a second forward of its own")
        if "label" not in getattr(objective, "target_kinds", ()):
            raise ValueError("objective: it must learn classes, such as cross_entropy or focal")
        self.objective, self.alpha, self.logits = objective, alpha, logits
        self.whole_batch = getattr(objective, "whole_batch", False)
        self.takes_soft_targets = getattr(objective, "takes_soft_targets", False)

    def forward(self, outputs: Outputs, batch: Batch, again: Outputs | None = None) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.objective(outputs, batch)
        if again is None:
            return terms
        one, two = (F.log_softmax(each[self.logits].astype("float32"), axis=-1) for each in (outputs, again))
        # KL(p || q) + KL(q || p) = sum (p - q) (log p - log q)
        disagreement = ((one.exp() - two.exp()) * (one - two)).sum(axis=-1).mean() / 2
        loss = (terms["loss"] + self.objective(again, batch)["loss"]) / 2
        return {**terms, "loss": loss + self.alpha * disagreement, "disagreement": disagreement}
