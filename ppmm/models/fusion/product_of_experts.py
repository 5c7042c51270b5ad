"""Product of Gaussian experts (Wu and Goodman 2018, "Multimodal Generative Models for Scalable Weakly-Supervised
Learning", section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.encoded import pooled_of
from ppmm.models.layers.masking import keep_rows
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["ProductOfExpertsFusion"]

LARGEST = 8.0
"""Bound of the log variance on both sides: no precision overflows or vanishes."""


@FUSIONS.register("product_of_experts")
class ProductOfExpertsFusion(nn.Layer):
    """Each field gives a Gaussian N(m_k, V_k) of the joint embedding; their product with the prior N(0, 1) is Gaussian.

    T = 1 + sum_k p_k T_k with T_k = 1 / V_k, and h = m = (sum_k p_k m_k T_k) / T: a field that is sure (small variance)
    counts more, one that is absent not at all. m_k and log V_k are linear in norm(x_k).

    Args:
        in_dims: size of each field's embedding.
        dim: size of the result.
        sample: whether training draws h from N(m, 1 / T) in place of its mean (the reparameterisation trick).
        dropout: on the result.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, sample: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.means = nn.LayerDict({field: nn.Linear(size, dim) for field, size in in_dims.items()})
        self.log_variances = nn.LayerDict({field: nn.Linear(size, dim) for field, size in in_dims.items()})
        self.sample = sample
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        precisions, weighted = [], []
        for field, norm in self.norms.items():
            embed = norm(pooled_of(encoded[field], present[field]))
            log_variance = paddle.clip(self.log_variances[field](embed), -LARGEST, LARGEST)
            precision = keep_rows(paddle.exp(-log_variance), present[field])
            precisions.append(precision)
            weighted.append(precision * self.means[field](embed))
        total = paddle.add_n(precisions) + 1.0
        result = paddle.add_n(weighted) / total
        if self.sample and self.training:
            result = result + paddle.randn(result.shape, dtype=result.dtype) * paddle.rsqrt(total)
        return self.dropout(result)
