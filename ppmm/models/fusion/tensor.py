"""Tensor fusion network (Zadeh et al. 2017, "Tensor Fusion Network for Multimodal Sentiment Analysis", section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.field_projections import PooledProjections
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["TensorFusion", "with_one"]

LARGEST = 1 << 16
"""Entries of the outer product beyond which the layer after it would have tens of millions of weights."""


@FUSIONS.register("tensor")
class TensorFusion(nn.Layer):
    """h = relu(W vec([v_1; 1] x ... x [v_K; 1]) + b), the outer product of all embeddings with a one appended.

    The ones keep the products of fewer fields, down to each field alone. v_k = p_k (W_k norm(x_k) + b_k): without
    field k the products in which it takes part are zero, and those of the present fields remain.

    Args:
        in_dims: size of each field's embedding.
        dim: size of the result.
        factor_dim: size of v_k; the outer product has (factor_dim + 1) ** K entries.
        dropout: on the result.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, factor_dim: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        entries = (factor_dim + 1) ** len(in_dims)
        if factor_dim < 1 or entries > LARGEST:
            raise ValueError(
                f"factor_dim must be at least 1, and the outer product of {len(in_dims)} fields has {entries} entries "
                f"(more than {LARGEST} are not allowed): lower factor_dim or take the fusion 'low_rank'"
            )
        self.factors = PooledProjections(in_dims, factor_dim)
        self.project = nn.Linear(entries, dim)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        factors = [with_one(value) for value in self.factors(encoded, present).values()]
        product = factors[0]
        for factor in factors[1:]:
            product = (product.unsqueeze(-1) * factor.unsqueeze(1)).flatten(1)
        return self.dropout(F.relu(self.project(product)))


def with_one(x: Tensor) -> Tensor:
    """[B,D] -> [B,D+1] with a one at the end."""
    return paddle.concat([x, paddle.ones_like(x[:, :1])], axis=-1)
