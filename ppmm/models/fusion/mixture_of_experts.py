"""Mixture of experts over fields (Jacobs et al. 1991, "Adaptive Mixtures of Local Experts", equation 1)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.encoded import pooled_of
from ppmm.models.layers.masking import keep_rows
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["MixtureOfExpertsFusion"]

HIDDEN = -3e4
"""Added to the gate of an absent field: its weight is exactly zero, and half precision can hold it."""


@FUSIONS.register("mixture_of_experts")
class MixtureOfExpertsFusion(nn.Layer):
    """h = sum_k g_k E_k(norm(x_k)), g = softmax over the present fields of W [norm(x_1), ..., norm(x_K)] + b.

    Each field has an expert E_k of two layers with ReLU; the gate sees all fields (zero where absent) and shares out a
    weight of 1 among those that are there.

    Args:
        in_dims: size of each field's embedding.
        dim: size of the result and of the experts' hidden layer.
        dropout: on the result.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.experts = nn.LayerDict(
            {
                field: nn.Sequential(nn.Linear(size, dim), nn.ReLU(), nn.Linear(dim, dim))
                for field, size in in_dims.items()
            }
        )
        self.gate = nn.Linear(sum(in_dims.values()), len(in_dims))
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        parts = {
            field: keep_rows(norm(pooled_of(encoded[field], present[field])), present[field])
            for field, norm in self.norms.items()
        }
        gates = self._gates(paddle.concat(list(parts.values()), axis=-1), [present[field] for field in parts])
        answers = paddle.stack([self.experts[field](part) for field, part in parts.items()], axis=1)
        return self.dropout((gates.unsqueeze(-1) * answers).sum(axis=1))

    def _gates(self, joint: Tensor, flags: list[Tensor]) -> Tensor:
        """Weights [B,K] that sum to 1; zeros in a row without any field."""
        scores = self.gate(joint)
        present = paddle.stack(flags, axis=-1).astype(scores.dtype)
        return F.softmax(scores + (1.0 - present) * HIDDEN, axis=-1) * present
