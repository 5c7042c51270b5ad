"""Co-attention: each field attends to the others (Lu et al. 2019, "ViLBERT", section 2.1, for any number of fields)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.field_projections import TokenProjections, mean_of_present
from ppmm.models.layers.transformer import CrossAttentionBlock
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["CrossAttentionFusion"]


@FUSIONS.register("cross_attention")
class CrossAttentionFusion(nn.Layer):
    """X_k <- block_k(X_k, [X_j for j != k]) in each layer; h = mean over the present fields of norm_k(X_k[0]).

    X_k are the tokens of field k after its summary token X_k[0], which alone asks in the last layer. A field whose
    others are all absent keeps its own tokens.

    Args:
        in_dims: size of each field's embedding and tokens.
        dim: size of a token and of the result; even, and a multiple of ``heads``.
        layers: how many times the fields attend.
        heads: attention heads.
        dropout: in the blocks.

    Inputs: encoded, present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(
        self, in_dims: dict[str, int], dim: int = 128, layers: int = 1, heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        self.projections = TokenProjections(in_dims, dim)
        attending = list(in_dims) if len(in_dims) > 1 else []
        self.layers = nn.LayerList(
            [
                nn.LayerDict({field: CrossAttentionBlock(dim, heads, None, dropout) for field in attending})
                for _ in range(layers)
            ]
        )
        self.norms = nn.LayerDict({field: nn.LayerNorm(dim) for field in in_dims})
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        sequences = self.projections(encoded, present)
        masks = {field: mask for field, (_, mask) in sequences.items()}
        tokens = {field: steps for field, (steps, _) in sequences.items()}
        last = len(self.layers) - 1
        for number, blocks in enumerate(self.layers):
            answers = {}
            for field, block in blocks.items():
                context = paddle.concat([tokens[other] for other in tokens if other != field], axis=1)
                mask = paddle.concat([masks[other] for other in masks if other != field], axis=1)
                asking = tokens[field][:, :1] if number == last else tokens[field]
                answers[field] = block(asking, context, mask)
            tokens = {**tokens, **answers}
        results = {field: norm(tokens[field][:, 0]) for field, norm in self.norms.items()}
        return mean_of_present(results, present)
