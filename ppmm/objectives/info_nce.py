"""InfoNCE: embeddings of one sample in several modalities lie closer than those of different samples."""

from __future__ import annotations

from functools import partial

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.objectives.blocks import check_chunk, in_blocks
from ppmm.objectives.pairs import embedding, named_pairs, pair_rows, positive_pairs, similarities
from ppmm.objectives.scale import Scale
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["InfoNCE", "multi_positive_loss"]

NEVER = -1e9
"""The logit of what takes no part."""


@OBJECTIVES.register("info_nce")
class InfoNCE(nn.Layer):
    """Symmetric InfoNCE over the rows of a batch, for any number of fields and several positives per row.

    For fields a, b with cosines c_ij = <a_i, b_j>, s = 1 / temperature and P_i the rows that belong to row i (itself,
    and those that share any of its ``positives``):
    L_ab = mean_i -1/|P_i| sum_(p in P_i) log(exp(s c_ip) / sum_j exp(s c_ij)), over i, j that have both fields.
    The loss is the mean of L_ab and L_ba over the pairs of fields (van den Oord et al. 2018; symmetric with learned
    temperature: Radford et al. 2021, CLIP; several positives: Yang et al. 2022, UniCL, equation 3).

    Args:
        fields: their embeddings ``F_embed`` [B,D] are compared, normalised here.
        pairs: which of them with which; None for every two.
        positives: targets (keys); rows in which any of them is equal belong together.
        temperature: at the start.
        learnable: whether the temperature is learned; it stays within 0.01 and 10.
        chunk: rows of the matrix of pairs that stand in memory at a time; None for all. The result is the same.

    Returns: ``loss``; ``A_B_loss`` of each pair where there are several; ``temperature``.
    """

    whole_batch = True
    least_rows = 2

    def __init__(
        self,
        fields: list[str],
        pairs: list[list[str]] | None = None,
        positives: list[str] | None = None,
        temperature: float = 0.07,
        learnable: bool = True,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        self.pairs = named_pairs(fields, pairs)
        self.positives = list(positives or [])
        self.scale, self.chunk = Scale(temperature, learnable=learnable), check_chunk(chunk)

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        scale = self.scale()
        losses: dict[str, Tensor] = {}
        for first, second in self.pairs:
            rows = pair_rows(batch, first, second)
            if self.chunk is None:
                logits = scale * similarities(outputs, first, second, rows)
                positive = positive_pairs(batch, self.positives, rows)
                both = [multi_positive_loss(each, positive, rows) for each in (logits, logits.transpose([1, 0]))]
            else:
                embeds = embedding(outputs, first, rows), embedding(outputs, second, rows)
                part = partial(self._block, batch, rows)
                both = [in_blocks(part, rows.shape[0], self.chunk, *pair, scale) for pair in (embeds, embeds[::-1])]
            losses[f"{first}_{second}_loss"] = sum(both) / 2
        loss = sum(losses.values()) / len(losses)
        return {"loss": loss, **(losses if len(losses) > 1 else {}), "temperature": 1 / scale.detach()}

    def _block(
        self, batch: Batch, rows: Tensor, start: int, stop: int, first: Tensor, second: Tensor, scale: Tensor
    ) -> Tensor:
        """What rows ``start`` to ``stop`` of ``first`` [B,D] add to the mean, against all of ``second`` [B,D]."""
        logits = scale * paddle.matmul(first[start:stop], second, transpose_y=True)
        positive = positive_pairs(batch, self.positives, rows, start, stop)
        return _losses(logits, positive, rows).sum() / paddle.clip(rows.astype("float32").sum(), min=1.0)


def multi_positive_loss(logits: Tensor, positive: Tensor, rows: Tensor) -> Tensor:
    """Cross entropy of each of the ``rows`` against an even distribution over its positives; 0 where there are none.

    Inputs: logits [B,B], positive [B,B] bool, rows [B] bool: who takes part. Returns: a scalar, the mean over rows.
    """
    return _losses(logits, positive, rows).sum() / paddle.clip(rows.astype("float32").sum(), min=1.0)


def _losses(logits: Tensor, positive: Tensor, rows: Tensor) -> Tensor:
    """The loss of each row [C] of ``logits`` [C,B]."""
    logits = paddle.where(rows.unsqueeze(0), logits, paddle.full_like(logits, NEVER))
    wanted = positive.astype("float32")
    wanted = wanted / paddle.clip(wanted.sum(axis=-1, keepdim=True), min=1.0)
    return -(wanted * F.log_softmax(logits, axis=-1)).sum(axis=-1)
