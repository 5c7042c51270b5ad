"""Transformer text encoder (Vaswani et al. 2017), pre-norm."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.pooled_transformer import PooledTransformer, Pooling
from ppmm.models.layers.sinusoidal_positions import SinusoidalPositions
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["TextTransformer"]


@ENCODERS.register("text_transformer")
class TextTransformer(nn.Layer):
    """Embedding, sinusoidal positions, pre-norm blocks, one vector of all words.

    Args:
        vocab_size: rows of the embedding; id 0 is padding.
        dim: size of a token; a multiple of ``heads``, even.
        layers: number of blocks.
        heads: attention heads.
        ffn: hidden size of the feed-forward parts; four times ``dim`` when None.
        dropout: on the embedded words and in every block.
        drop_path: stochastic depth of the last block.
        pooling: ``class`` token, ``mean`` over the words, or ``attention`` of a learned query.

    Inputs: x [B,L] int64, mask [B,L] bool or None. Returns: pooled [B,dim], tokens [B,L,dim], token_mask.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        layers: int = 2,
        heads: int = 4,
        ffn: int | None = None,
        dropout: float = 0.1,
        drop_path: float = 0.0,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(
            vocab_size, dim, padding_idx=0, weight_attr=nn.initializer.Normal(std=1.0)
        )  # as large as the positions
        self.positions = SinusoidalPositions(dim)
        self.dropout = nn.Dropout(dropout)
        self.transformer = PooledTransformer(dim, layers, heads, ffn, dropout, drop_path, pooling)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        return self.transformer(self.dropout(self.positions(self.embedding(x))), mask)
