"""SigLIP: each pair of rows is a question of its own, whether they belong together."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.objectives.pairs import named_pairs, pair_rows, positive_pairs, similarities
from ppmm.objectives.scale import Scale
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["SigLIP"]


@OBJECTIVES.register("siglip")
class SigLIP(nn.Layer):
    """L = -1/n sum_ij log sigmoid(y_ij (s c_ij + b)), y_ij = 1 where rows i and j belong together and -1 elsewhere.

    Over the n rows that have both fields, c_ij the cosine of one's embedding with the other's; mean over the pairs of
    fields (Zhai et al. 2023, Sigmoid loss for language image pre-training, algorithm 1). Unlike InfoNCE it does not
    compare a row with the whole batch, so small batches do nearly as well.

    Args:
        fields: their embeddings ``F_embed`` [B,D] are compared, normalised here.
        pairs: which of them with which; None for every two.
        positives: targets (keys); rows in which any of them is equal belong together.
        temperature: 1 / s at the start; learned within 0.01 and 10.
        bias: b at the start; learned. The paper's -10 makes up for the many negatives of a first batch.

    Returns: ``loss``; ``A_B_loss`` of each pair where there are several; ``temperature``; ``bias``.
    """

    whole_batch = True
    least_rows = 2

    def __init__(
        self,
        fields: list[str],
        pairs: list[list[str]] | None = None,
        positives: list[str] | None = None,
        temperature: float = 0.1,
        bias: float = -10.0,
    ) -> None:
        super().__init__()
        self.pairs = named_pairs(fields, pairs)
        self.positives = list(positives or [])
        self.scale = Scale(temperature)
        self.bias = self.create_parameter([1], default_initializer=nn.initializer.Constant(bias))

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        scale, bias = self.scale(), self.bias.squeeze(0)
        losses: dict[str, Tensor] = {}
        for first, second in self.pairs:
            rows = pair_rows(batch, first, second)
            logits = scale * similarities(outputs, first, second, rows) + bias
            sign = 2 * positive_pairs(batch, self.positives, rows).astype("float32") - 1
            count = rows.astype("float32")
            each = -F.log_sigmoid(sign * logits) * count.unsqueeze(0) * count.unsqueeze(1)
            losses[f"{first}_{second}_loss"] = each.sum() / paddle.clip(count.sum(), min=1.0)
        loss = sum(losses.values()) / len(losses)
        learned = {"temperature": 1 / scale.detach(), "bias": bias.detach()}
        return {"loss": loss, **(losses if len(losses) > 1 else {}), **learned}
