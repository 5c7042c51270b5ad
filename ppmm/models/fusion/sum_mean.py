"""Sum or mean of projected embeddings."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.field_projections import PooledProjections, count_present
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["SumMeanFusion"]


@FUSIONS.register("sum_mean")
class SumMeanFusion(nn.Layer):
    """h = sum_k p_k (W_k norm(x_k) + b_k), divided by the number sum_k p_k of present fields for the mean.

    Args:
        in_dims: size of each field's embedding.
        dim: size of the result.
        mean: whether to take the mean, whose size does not grow with the number of present fields; else the sum.
        dropout: on the result.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, mean: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.projections = PooledProjections(in_dims, dim)
        self.mean = mean
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        values = self.projections(encoded, present)
        total = paddle.add_n(list(values.values()))
        if self.mean:
            total = total / count_present({field: present[field] for field in values}, total)
        return self.dropout(total)
