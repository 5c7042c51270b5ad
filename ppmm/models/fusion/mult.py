"""Crossmodal Transformer (Tsai et al. 2019, "Multimodal Transformer for Unaligned Multimodal Language Sequences")."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.field_projections import TokenProjections
from ppmm.models.layers.masking import keep, keep_rows
from ppmm.models.layers.transformer import CrossAttentionBlock, TransformerEncoder
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["MulTFusion"]


@FUSIONS.register("mult")
class MulTFusion(nn.Layer):
    """Every ordered pair of fields has a crossmodal Transformer (equations 4 and 5), every field a memory after them.

    Z_{j->k} = layers of cross-attention in which the tokens X_k ask and the tokens X_j, always those of the start,
    answer; Y_k = Transformer([Z_{j->k} for j != k]), joined channel by channel; h = relu(W [Y_1[0], ..., Y_K[0]] + b),
    Y_k[0] being the summary token (the paper reads the last step, which means nothing in pictures). Y_k = 0 where
    field k is absent; where field j is, Z_{j->k} is made from X_k alone.

    Args:
        in_dims: size of each field's embedding and tokens.
        dim: size of a token and of the result; even, and a multiple of ``heads``.
        layers: cross-attention layers of each pair.
        memory_layers: self-attention layers of each field after them.
        heads: attention heads.
        dropout: in all of them, and on the result.

    Inputs: encoded, present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        dim: int = 64,
        layers: int = 2,
        memory_layers: int = 1,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.projections = TokenProjections(in_dims, dim)
        sources = {field: [other for other in in_dims if other != field] for field in in_dims}
        self.pairs = nn.LayerDict(
            {
                field: nn.LayerDict({other: _Crossmodal(dim, layers, heads, dropout) for other in others})
                for field, others in sources.items()
            }
        )
        width = dim * max(1, len(in_dims) - 1)
        self.memories = nn.LayerDict(
            {field: TransformerEncoder(width, memory_layers, heads, None, dropout) for field in in_dims}
        )
        self.project = nn.Linear(width * len(in_dims), dim)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        sequences = self.projections(encoded, present)
        parts = []
        for field, memory in self.memories.items():
            tokens, mask = sequences[field]
            seen = [pair(tokens, *sequences[other]) for other, pair in self.pairs[field].items()]
            joined = keep(paddle.concat(seen, axis=-1) if seen else tokens, mask)
            parts.append(keep_rows(memory(joined, mask)[:, 0], present[field]))
        return self.dropout(F.relu(self.project(paddle.concat(parts, axis=-1))))


class _Crossmodal(nn.Layer):
    """Tokens of one field ask, those of another one answer.

    Inputs: tokens [B,N,dim], context [B,M,dim], its mask [B,M] bool. Returns: [B,N,dim].
    """

    def __init__(self, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        self.blocks = nn.LayerList([CrossAttentionBlock(dim, heads, None, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, context, mask)
        return self.norm(tokens)
