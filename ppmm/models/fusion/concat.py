"""Concatenation and a projection: the plainest late fusion, and a hard one to beat."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.encoded import pooled_of
from ppmm.models.layers.masking import keep_rows
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["ConcatFusion"]


@FUSIONS.register("concat")
class ConcatFusion(nn.Layer):
    """h = relu(W [norm(x_1), ..., norm(x_K), p_1, ..., p_K] + b), with x_k = 0 where the presence p_k is 0.

    Args:
        in_dims: size of each field's embedding.
        dim: size of the result.
        dropout: on the result.

    Inputs: encoded (pooled [B,D_f] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.project = nn.Linear(sum(in_dims.values()) + len(in_dims), dim)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        parts = [
            keep_rows(norm(pooled_of(encoded[field], present[field])), present[field])
            for field, norm in self.norms.items()
        ]
        flags = [present[field].astype(parts[0].dtype).unsqueeze(-1) for field in self.norms]
        return self.dropout(F.relu(self.project(paddle.concat(parts + flags, axis=-1))))
