"""Feature-wise linear modulation (Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning Layer")."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.encoded import tokens_of
from ppmm.models.layers.field_projections import PooledProjections, mean_of_present
from ppmm.models.layers.masking import keep_rows, masked_mean
from ppmm.registry import FUSIONS, did_you_mean
from ppmm.types import Encoded

__all__ = ["FiLMFusion"]


@FUSIONS.register("film")
class FiLMFusion(nn.Layer):
    """One field scales and shifts the channels of the others: FiLM(v) = gamma(z) v + beta(z) (equation 2).

    For each token x_n of field k, v_n = W_k norm(x_n) + b_k; f_k = mean_n relu((1 + G_k z_k) v_n + B_k z_k); the
    result is the mean of f_k over the present fields. z_k is the mean of the projected embeddings of the fields that
    condition k. Where none of them is present z_k = 0, so that v_n passes as it is. With several ``layers`` residual
    blocks follow before the mean over n: x_n + relu((1 + G z_k) v_n + B z_k) with v_n = W norm(x_n) + b (in the manner
    of the paper's figure 3), so that conditions on one token can be joined.

    Args:
        in_dims: size of each field's embedding and tokens.
        dim: size of the result.
        condition: the field that conditions all others, such as ``question``; where no other is present, it answers by
            itself. None lets each field be conditioned by all others.
        dropout: on the result.
        layers: how often tokens are scaled and shifted.

    Inputs: encoded, present {field: [B] bool}. Returns: [B,dim].
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        dim: int = 256,
        condition: str | None = None,
        dropout: float = 0.0,
        layers: int = 1,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        if condition is not None and condition not in in_dims:
            raise ValueError(f"condition: no field '{condition}'{did_you_mean(condition, in_dims)}")
        sources = list(in_dims) if condition is None else [condition]
        modulated = [field for field in in_dims if field != condition] or list(in_dims)
        self.conditions = {field: [source for source in sources if source != field] for field in modulated}
        self.alone = condition if condition not in modulated else None
        self.norms = nn.LayerDict({field: nn.LayerNorm(in_dims[field]) for field in modulated})
        self.values = nn.LayerDict({field: nn.Linear(in_dims[field], dim) for field in modulated})
        several = len(in_dims) > 1
        self.sources = PooledProjections({source: in_dims[source] for source in sources if several}, dim)
        self.scales, self.shifts = (
            nn.LayerDict({field: nn.Linear(dim, dim, bias_attr=False) for field in modulated if several})
            for _ in range(2)
        )
        self.blocks = nn.LayerList(
            [nn.LayerDict({field: FiLMBlock(dim) for field in modulated if several}) for _ in range(layers - 1)]
        )
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        sources = self.sources(encoded, present)
        results = {}
        for field, conditions in self.conditions.items():
            tokens, mask = tokens_of(encoded[field], present[field])
            value = self.values[field](self.norms[field](tokens))
            if conditions:
                z = mean_of_present({source: sources[source] for source in conditions}, present)
                # oneDNN 3.1.1 is wrong where a linear layer of [B,1,D] without bias is added to [B,N,D]
                scale, shift = self.scales[field](z).unsqueeze(1), self.shifts[field](z).unsqueeze(1)
                value = value + scale * value + shift
            value = F.relu(value)
            for blocks in self.blocks if conditions else ():
                value = blocks[field](value, z)
            results[field] = masked_mean(value, mask)
        mean = mean_of_present(results, present)
        if self.alone is not None:
            others = paddle.stack([present[field] for field in results], axis=-1).any(axis=-1)
            mean = mean + keep_rows(F.relu(sources[self.alone]), others.logical_not())
        return self.dropout(mean)


class FiLMBlock(nn.Layer):
    """x_n + relu((1 + G z) v_n + B z) with v_n = W norm(x_n) + b.

    Inputs: x [B,N,dim], z [B,dim]. Returns: [B,N,dim].
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.value = nn.Linear(dim, dim)
        self.scale, self.shift = (nn.Linear(dim, dim, bias_attr=False) for _ in range(2))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        value = self.value(self.norm(x))
        return x + F.relu(value + self.scale(z).unsqueeze(1) * value + self.shift(z).unsqueeze(1))
