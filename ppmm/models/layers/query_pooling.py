"""Pooling of a sequence that keeps its order: several learned queries, each attending to a part of it."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.masking import choose, keep

__all__ = ["QueryPooling"]

BLOCKED = -1e4


class QueryPooling(nn.Layer):
    """y = W [c_1, ..., c_Q] + b with c_q = sum_t softmax_t(u_q . tanh(V x_t + d)) x_t.

    Lin et al. 2017, "A Structured Self-attentive Sentence Embedding", equations 6 and 7. With steps that know their
    place (recurrent ones), a query can stand for "the second item", so that the result tells sequences of the same
    items apart, which a mean does badly.

    Args:
        dim: size of a step D.
        out_dim: size of the result.
        queries: Q.

    Inputs: x [B,T,dim], mask [B,T] bool or None. Returns: [B,out_dim].
    """

    def __init__(self, dim: int, out_dim: int, queries: int = 4) -> None:
        super().__init__()
        if queries < 1:
            raise ValueError(f"queries must be at least 1, got {queries}")
        self.key = nn.Linear(dim, dim)
        self.score = nn.Linear(dim, queries, bias_attr=False)
        self.project = nn.Linear(dim * queries, out_dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = keep(x, mask)
        scores = self.score(F.tanh(self.key(x)))
        if mask is not None:
            scores = choose(mask.unsqueeze(-1), scores, paddle.full([1], BLOCKED, dtype=scores.dtype))
        weights = F.softmax(scores, axis=1)
        return self.project(paddle.matmul(weights, x, transpose_x=True).flatten(1))
