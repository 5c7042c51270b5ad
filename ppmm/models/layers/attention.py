"""Scaled dot-product attention of several heads (Vaswani et al. 2017, "Attention Is All You Need", section 3.2)."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.masking import keep

__all__ = ["AttentionPooling", "MultiHeadAttention"]

HIDDEN = -3e4
"""Added to the score of a masked key: its weight is exactly zero, and half precision can hold it."""


class MultiHeadAttention(nn.Layer):
    """softmax(Q K' / sqrt(head_dim)) V per head, heads side by side, one projection out of them.

    The projections are separate layers, so that heads can be pruned (cut columns of ``query``, ``key``, ``value`` and
    rows of ``out``, and lower ``heads``). ``key`` has no bias: it would add the same to every score of a query, which
    softmax does not see.

    Args:
        dim: size of a query and of the answer; a multiple of ``heads``.
        heads: number of heads.
        dropout: on the attention weights.
        context_dim: size of a key in cross-attention; ``dim`` when None.

    Inputs: query [B,N,dim], key [B,M,context_dim] (the query itself when None), mask [B,M] bool: True where a key
    counts; what stands elsewhere (NaN too) changes nothing. Returns: [B,N,dim]; zeros in rows without any key.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, context_dim: int | None = None) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim must be a multiple of heads, got dim {dim} and heads {heads}")
        self.heads = heads
        self.head_dim = dim // heads
        key_dim = dim if context_dim is None else context_dim
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(key_dim, dim, bias_attr=False)
        self.value = nn.Linear(key_dim, dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        context = keep(query if key is None else key, mask)
        q = self._split(self.query(query)) * self.head_dim**-0.5
        scores = paddle.matmul(q, self._split(self.key(context)), transpose_y=True)
        if mask is not None:
            hidden = (1.0 - mask.astype(scores.dtype)) * HIDDEN
            scores = scores + hidden.unsqueeze(1).unsqueeze(1)
        weights = self.dropout(F.softmax(scores, axis=-1))
        heads = paddle.matmul(weights, self._split(self.value(context)))
        answer = self.out(heads.transpose([0, 2, 1, 3]).flatten(2))
        return answer if mask is None else answer * _any_key(mask, answer)

    def _split(self, x: Tensor) -> Tensor:
        """[B,N,heads*head_dim] -> [B,heads,N,head_dim]."""
        return x.reshape([0, 0, self.heads, self.head_dim]).transpose([0, 2, 1, 3])


class AttentionPooling(nn.Layer):
    """One learned query attends to all tokens (Lee et al. 2019, "Set Transformer", equation 11, without the MLP).

    Args:
        dim: size of a token; a multiple of ``heads``.
        heads: number of heads.
        dropout: on the attention weights.

    Inputs: tokens [B,N,dim], mask [B,N] bool or None. Returns: [B,dim]; zeros where no token counts.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.seed = self.create_parameter([1, 1, dim], default_initializer=nn.initializer.TruncatedNormal(std=0.02))
        self.attention = MultiHeadAttention(dim, heads, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        query = paddle.zeros_like(tokens[:, :1]) + self.seed
        return self.attention(query, tokens, mask).squeeze(1)


def _any_key(mask: Tensor, like: Tensor) -> Tensor:
    """1 for rows of ``mask`` [B,M] with a true key, else 0: [B,1,1]."""
    return mask.astype(like.dtype).max(axis=1).reshape([-1, 1, 1])
