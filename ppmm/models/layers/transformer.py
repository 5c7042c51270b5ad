"""Pre-norm Transformer (Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture", figure 1b)."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.drop_path import DropPath, drop_rates
from ppmm.models.layers.masking import keep

__all__ = ["CrossAttentionBlock", "FeedForward", "TransformerBlock", "TransformerEncoder"]


class FeedForward(nn.Layer):
    """Two linear layers with GELU between them, applied to every token.

    Args:
        dim: size of a token.
        hidden: size between; four times ``dim`` when None.
        dropout: after each layer.

    Inputs: x [B,N,dim]. Returns: [B,N,dim].
    """

    def __init__(self, dim: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, 4 * dim if hidden is None else hidden)
        self.activation = nn.GELU()
        self.reduce = nn.Linear(self.expand.weight.shape[1], dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.reduce(self.dropout(self.activation(self.expand(x)))))


class TransformerBlock(nn.Layer):
    """x' = x + attention(norm(x)); y = x' + feed_forward(norm(x')).

    Args:
        dim: size of a token; a multiple of ``heads``.
        heads: attention heads.
        ffn: hidden size of the feed-forward part; four times ``dim`` when None.
        dropout: on attention weights and on what each part adds.
        drop_path: stochastic depth of both parts.

    Inputs: x [B,N,dim], mask [B,N] bool: True where a token counts. Returns: [B,N,dim]; masked tokens are carried
    along without influence on the others.
    """

    def __init__(
        self, dim: int, heads: int, ffn: int | None = None, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, ffn, dropout)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.drop_path(self.dropout(self.attention(self.attention_norm(x), None, mask)))
        return x + self.drop_path(self.feed_forward(self.feed_forward_norm(x)))


class CrossAttentionBlock(nn.Layer):
    """x' = x + attention(norm(x), norm(context)); y = x' + feed_forward(norm(x')).

    Args:
        dim: size of a token of ``x``; a multiple of ``heads``.
        heads: attention heads.
        ffn: hidden size of the feed-forward part; four times ``dim`` when None.
        dropout: on attention weights and on what each part adds.
        drop_path: stochastic depth of both parts.
        context_dim: size of a token of ``context``; ``dim`` when None.

    Inputs: x [B,N,dim], context [B,M,context_dim], mask [B,M] bool of the context. Returns: [B,N,dim]; where no token
    of the context counts, its attention adds zeros.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        ffn: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        context_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim if context_dim is None else context_dim)
        self.attention = MultiHeadAttention(dim, heads, dropout, context_dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, ffn, dropout)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        found = self.attention(self.attention_norm(x), self.context_norm(keep(context, mask)), mask)
        x = x + self.drop_path(self.dropout(found))
        return x + self.drop_path(self.feed_forward(self.feed_forward_norm(x)))


class TransformerEncoder(nn.Layer):
    """``depth`` blocks and a last layer normalisation. Positions are the caller's to add.

    Args:
        dim: size of a token; a multiple of ``heads``.
        depth: number of blocks.
        heads: attention heads of a block.
        ffn: hidden size of the feed-forward parts; four times ``dim`` when None.
        dropout: in every block.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first.

    Inputs: x [B,N,dim], mask [B,N] bool or None. Returns: [B,N,dim], zeros where ``mask`` is False.
    """

    def __init__(
        self, dim: int, depth: int, heads: int, ffn: int | None = None, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        rates = drop_rates(drop_path, depth)
        self.blocks = nn.LayerList([TransformerBlock(dim, heads, ffn, dropout, rate) for rate in rates])
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = keep(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return keep(self.norm(x), mask)
