"""SigLIP: each pair of rows is a question of its own, whether they belong together."""

from __future__ import annotations

from functools import partial

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.objectives.blocks import check_chunk, in_blocks
from ppmm.objectives.pairs import embedding, named_pairs, pair_rows, positive_pairs
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
        chunk: rows of the matrix of pairs that stand in memory at a time; None for all. The result is the same.

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
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        self.pairs = named_pairs(fields, pairs)
        self.positives = list(positives or [])
        self.scale, self.chunk = Scale(temperature), check_chunk(chunk)
        self.bias = self.create_parameter([1], default_initializer=nn.initializer.Constant(bias))

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        scale, bias = self.scale(), self.bias.squeeze(0)
        losses: dict[str, Tensor] = {}
        for first, second in self.pairs:
            rows = pair_rows(batch, first, second)
            embeds = embedding(outputs, first, rows), embedding(outputs, second, rows)
            part = partial(self._block, batch, rows)
            total = in_blocks(part, rows.shape[0], self.chunk, *embeds, scale, bias)
            losses[f"{first}_{second}_loss"] = total / paddle.clip(rows.astype("float32").sum(), min=1.0)
        loss = sum(losses.values()) / len(losses)
        learned = {"temperature": 1 / scale.detach(), "bias": bias.detach()}
        return {"loss": loss, **(losses if len(losses) > 1 else {}), **learned}

    def _block(
        self,
        batch: Batch,
        rows: Tensor,
        start: int,
        stop: int,
        first: Tensor,
        second: Tensor,
        scale: Tensor,
        bias: Tensor,
    ) -> Tensor:
        """The sum over the pairs of rows ``start`` to ``stop`` of ``first`` [B,D] with all of ``second`` [B,D]."""
        logits = scale * paddle.matmul(first[start:stop], second, transpose_y=True) + bias
        sign = 2 * positive_pairs(batch, self.positives, rows, start, stop).astype("float32") - 1
        count = rows.astype("float32")
        return (-F.log_sigmoid(sign * logits) * count.unsqueeze(0) * count[start:stop].unsqueeze(1)).sum()
