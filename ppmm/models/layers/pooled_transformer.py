"""A Transformer over tokens and one vector of all of them."""

from __future__ import annotations

from typing import Literal

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.attention import AttentionPooling
from ppmm.models.layers.masking import masked_mean
from ppmm.models.layers.transformer import TransformerEncoder
from ppmm.types import Encoded

__all__ = ["PooledTransformer", "Pooling"]

Pooling = Literal["class", "mean", "attention"]


class PooledTransformer(nn.Layer):
    """Pre-norm blocks, then a vector: that of a class token (Devlin et al. 2019), the mean, or attention pooling.

    Args:
        dim: size of a token; a multiple of ``heads``.
        layers: number of blocks.
        heads: attention heads.
        ffn: hidden size of the feed-forward parts; four times ``dim`` when None.
        dropout: in every block.
        drop_path: stochastic depth of the last block.
        pooling: ``class`` puts a learned token before the others; it is not among the tokens that are returned.

    Inputs: x [B,N,dim], positions added; mask [B,N] bool or None. Returns: pooled [B,dim], tokens [B,N,dim], the mask.
    """

    def __init__(
        self,
        dim: int,
        layers: int,
        heads: int,
        ffn: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        self.encoder = TransformerEncoder(dim, layers, heads, ffn, dropout, drop_path)
        normal = nn.initializer.TruncatedNormal(std=0.02)
        self.class_token = (
            self.create_parameter([1, 1, dim], default_initializer=normal) if pooling == "class" else None
        )
        self.attention = AttentionPooling(dim, heads, dropout) if pooling == "attention" else None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        if self.class_token is not None:
            first = paddle.zeros_like(x[:, :1]) + self.class_token
            seen = None if mask is None else paddle.concat([paddle.ones_like(mask[:, :1]), mask], axis=1)
            tokens = self.encoder(paddle.concat([first, x], axis=1), seen)
            return Encoded(tokens[:, 0], tokens[:, 1:], mask)
        tokens = self.encoder(x, mask)
        pooled = masked_mean(tokens, mask) if self.attention is None else self.attention(tokens, mask)
        return Encoded(pooled, tokens, mask)
