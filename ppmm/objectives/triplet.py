"""Triplet loss with the hardest negatives of the batch."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from ppmm.objectives.pairs import named_pairs, pair_rows, positive_pairs, similarities
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["Triplet"]

NEVER = -1e9


@OBJECTIVES.register("triplet")
class Triplet:
    """L_ab = mean_i max(0, margin - c_ii + max_(j not in P_i) c_ij), and L_ba with rows and columns exchanged.

    Over the rows that have both fields, c_ij the cosine of one's embedding with the other's, P_i the rows that belong
    to row i. The loss is L_ab + L_ba, the mean over the pairs of fields (Faghri et al. 2018, VSE++, equation 6; with
    ``hardest: false`` the sum over all negatives, equation 5).

    Args:
        fields: their embeddings ``F_embed`` [B,D] are compared, normalised here.
        pairs: which of them with which; None for every two.
        positives: targets (keys); rows in which any of them is equal are no negatives of one another.
        margin: by which a pair must be closer than its negatives.
        hardest: only the closest negative counts; False lets all of them count, which is easier to start with.

    Returns: ``loss``; ``A_B_loss`` of each pair where there are several.
    """

    whole_batch = True
    least_rows = 2

    def __init__(
        self,
        fields: list[str],
        pairs: list[list[str]] | None = None,
        positives: list[str] | None = None,
        margin: float = 0.2,
        hardest: bool = True,
    ) -> None:
        if not 0 < margin <= 2:
            raise ValueError(f"margin must be above 0 and at most 2, since cosines are compared; got {margin}")
        self.pairs = named_pairs(fields, pairs)
        self.positives = list(positives or [])
        self.margin, self.hardest = margin, hardest

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for first, second in self.pairs:
            rows = pair_rows(batch, first, second)
            cosines = similarities(outputs, first, second, rows)
            positive = positive_pairs(batch, self.positives, rows)
            both = [self._hinges(each, positive, rows) for each in (cosines, cosines.transpose([1, 0]))]
            losses[f"{first}_{second}_loss"] = sum(both)
        loss = sum(losses.values()) / len(losses)
        return {"loss": loss, **(losses if len(losses) > 1 else {})}

    def _hinges(self, cosines: Tensor, positive: Tensor, rows: Tensor) -> Tensor:
        """Mean over the ``rows`` of what they still lack; a row without negatives lacks nothing."""
        taking_part = rows.unsqueeze(0).logical_and(rows.unsqueeze(1))
        negative = taking_part.logical_and(positive.logical_not())
        others = paddle.where(negative, cosines, paddle.full_like(cosines, NEVER))
        others = others.max(axis=-1, keepdim=True) if self.hardest else others
        own = paddle.diagonal(cosines).unsqueeze(-1)
        return F.relu(self.margin + others - own).sum() / paddle.clip(rows.astype("float32").sum(), min=1.0)
