"""Low-rank tensor fusion (Liu et al. 2018, "Efficient Low-rank Multimodal Fusion with Modality-Specific Factors")."""

from __future__ import annotations

from collections.abc import Mapping

from paddle import ParamAttr, Tensor, nn

from ppmm.models.layers.encoded import pooled_of
from ppmm.models.layers.masking import keep_rows
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["LowRankFusion"]


@FUSIONS.register("low_rank")
class LowRankFusion(nn.Layer):
    """h = sum_r a_r prod_k (W_k^r [x_k; 1]) + b (equation 6): tensor fusion whose weights have a rank of at most R.

    x_k = 0 without field k, so that its factor is the weight of the appended one; this starts at 1, the neutral
    factor. Memory and time grow linearly with the number of fields.

    Args:
        in_dims: size of each field's embedding, which is normalised first.
        dim: size of the result.
        rank: R.
        dropout: on the result.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(self, in_dims: dict[str, int], dim: int = 256, rank: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        one = nn.initializer.Constant(1.0)
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.factors = nn.LayerDict(
            {
                field: nn.Linear(size, rank * dim, bias_attr=ParamAttr(initializer=one))
                for field, size in in_dims.items()
            }
        )
        self.weights = self.create_parameter([rank, 1], default_initializer=nn.initializer.XavierNormal())
        self.bias = self.create_parameter([dim], is_bias=True)
        self.dropout = nn.Dropout(dropout)
        self.rank = rank
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        product = None
        for field, factor in self.factors.items():
            value = keep_rows(self.norms[field](pooled_of(encoded[field], present[field])), present[field])
            terms = factor(value).reshape([-1, self.rank, self.out_dim])
            product = terms if product is None else product * terms
        assert product is not None
        return self.dropout((product * self.weights).sum(axis=1) + self.bias)
