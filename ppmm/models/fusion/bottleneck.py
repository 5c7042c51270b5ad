"""Bottleneck tokens (Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion", section 3.2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.field_projections import TokenProjections, mean_of_present
from ppmm.models.layers.transformer import TransformerBlock
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["BottleneckFusion"]


@FUSIONS.register("bottleneck")
class BottleneckFusion(nn.Layer):
    """Fields talk only through a few tokens Z that all of them may read and write.

    In each layer [Z_k || X_k] <- block_k([Z || X_k]) for each field, then Z <- mean of Z_k over the present fields
    (equations 8 and 9); h = mean over the present fields of norm_k(X_k[0]), X_k[0] being the summary token of field k.
    The cost grows linearly with the tokens of the other fields, not with their product.

    Args:
        in_dims: size of each field's embedding and tokens.
        dim: size of a token and of the result; even, and a multiple of ``heads``.
        layers: at least 2: the first one writes the bottleneck, the next one reads what the others wrote.
        bottlenecks: number of tokens of Z.
        heads: attention heads.
        dropout: in the blocks.

    Inputs: encoded, present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        dim: int = 128,
        layers: int = 2,
        bottlenecks: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers must be at least 2 (one writes the bottleneck, one reads it), got {layers}")
        if bottlenecks < 1:
            raise ValueError(f"bottlenecks must be at least 1, got {bottlenecks}")
        start = nn.initializer.TruncatedNormal(std=0.02)
        self.projections = TokenProjections(in_dims, dim)
        self.bottleneck = self.create_parameter([1, bottlenecks, dim], default_initializer=start)
        self.layers = nn.LayerList(
            [
                nn.LayerDict({field: TransformerBlock(dim, heads, None, dropout) for field in in_dims})
                for _ in range(layers)
            ]
        )
        self.norms = nn.LayerDict({field: nn.LayerNorm(dim) for field in in_dims})
        self.count = bottlenecks
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        sequences = self.projections(encoded, present)
        tokens = {field: steps for field, (steps, _) in sequences.items()}
        first = next(iter(tokens.values()))
        bottleneck = paddle.zeros_like(first[:, :1]) + self.bottleneck
        open_mask = paddle.ones_like(bottleneck[:, :, 0]).astype("bool")
        masks = {field: paddle.concat([open_mask, mask], axis=1) for field, (_, mask) in sequences.items()}
        for blocks in self.layers:
            written, updated = {}, {}
            for field, block in blocks.items():
                both = block(paddle.concat([bottleneck, tokens[field]], axis=1), masks[field])
                written[field], updated[field] = both[:, : self.count], both[:, self.count :]
            tokens, bottleneck = updated, mean_of_present(written, present)
        results = {field: norm(tokens[field][:, 0]) for field, norm in self.norms.items()}
        return mean_of_present(results, present)
