"""Supervised contrastive learning: embeddings of one class lie together."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from ppmm.objectives.pairs import NO_KEY, embedding
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["SupervisedContrastive"]

NEVER = -1e9


@OBJECTIVES.register("supervised_contrastive")
class SupervisedContrastive:
    """L = mean_i -1/|P_i| sum_(p in P_i) log(exp(<z_i, z_p> / t) / sum_(a != i) exp(<z_i, z_a> / t)).

    Every field that a row has is a view of it; i and a go over all views in the batch, P_i are the other views of the
    same row or class, and the mean is over the views that have any (Khosla et al. 2020, equation 2).

    Args:
        fields: their embeddings ``F_embed`` [B,D] are compared, normalised here.
        target: the classes (label), or the groups (key).
        temperature: t.

    Returns: ``loss``, a scalar.
    """

    target_kinds = ("label", "key")
    whole_batch = True
    least_rows = 2

    def __init__(self, fields: list[str], target: str, temperature: float = 0.1) -> None:
        if not fields or len(set(fields)) != len(fields):
            raise ValueError(f"fields must name at least one field and none twice, got {fields}")
        if not 0.01 <= temperature <= 10:
            raise ValueError(f"temperature must be within 0.01 and 10, got {temperature}")
        self.fields, self.target, self.temperature = list(fields), target, temperature

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        views = len(self.fields)
        there = paddle.concat([batch[f"has_{field}"] for field in self.fields])
        embeds = paddle.concat([embedding(outputs, field, batch[f"has_{field}"]) for field in self.fields])
        groups = paddle.concat([batch[self.target]] * views)
        rows = paddle.concat([paddle.arange(len(batch[self.target]))] * views)
        same = groups.unsqueeze(0).equal(groups.unsqueeze(1)).logical_and((groups != NO_KEY).unsqueeze(0))
        same = same.logical_or(rows.unsqueeze(0).equal(rows.unsqueeze(1)))
        others = paddle.eye(len(there)).astype("bool").logical_not().logical_and(there.unsqueeze(0))
        positive = same.logical_and(others).logical_and(there.unsqueeze(1)).astype("float32")
        logits = paddle.matmul(embeds, embeds, transpose_y=True) / self.temperature
        logits = F.log_softmax(paddle.where(others, logits, paddle.full_like(logits, NEVER)), axis=-1)
        counts = positive.sum(axis=-1)
        losses = -(positive * logits).sum(axis=-1) / paddle.clip(counts, min=1.0)
        return {"loss": losses.sum() / paddle.clip((counts > 0).astype("float32").sum(), min=1.0)}
