"""Gated multimodal unit (Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion", equations 5 and 6)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.encoded import pooled_of
from ppmm.models.layers.masking import keep_rows
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["GatedFusion"]


@FUSIONS.register("gated")
class GatedFusion(nn.Layer):
    """h = sum_k p_k sigmoid(W_zk [x_1, ..., x_K]) * tanh(W_k x_k), with x_k = 0 where the presence p_k is 0.

    Each gate sees every field, so that the question, say, can decide whether to look or to listen.

    Args:
        in_dims: size of each field's embedding.
        dim: size of the result.
        dropout: on the result.

    Inputs: encoded (pooled [B,D_f] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        total = sum(in_dims.values())
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.values = nn.LayerDict({field: nn.Linear(size, dim) for field, size in in_dims.items()})
        self.gates = nn.LayerDict({field: nn.Linear(total, dim) for field in in_dims})
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        parts = {
            field: keep_rows(norm(pooled_of(encoded[field], present[field])), present[field])
            for field, norm in self.norms.items()
        }
        joint = paddle.concat(list(parts.values()), axis=-1)
        terms = []
        for field, part in parts.items():
            term = F.sigmoid(self.gates[field](joint)) * paddle.tanh(self.values[field](part))
            terms.append(keep_rows(term, present[field]))
        return self.dropout(paddle.add_n(terms))
