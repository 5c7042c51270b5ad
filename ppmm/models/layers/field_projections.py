"""Embeddings and tokens of different fields, brought to one size, so that they can be added or attend each other."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.encoded import pooled_of, tokens_of
from ppmm.models.layers.masking import keep, keep_rows
from ppmm.models.layers.sinusoidal_positions import SinusoidalPositions
from ppmm.types import Encoded

__all__ = ["PooledProjections", "TokenProjections", "count_present", "mean_of_present"]


class PooledProjections(nn.Layer):
    """v_k = p_k (W_k norm(x_k) + b_k) for each field k with the presence p_k.

    Args:
        in_dims: size of each field's embedding.
        dim: size of the results.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: {field: [B,dim]}, zero where absent.
    """

    def __init__(self, in_dims: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.linears = nn.LayerDict({field: nn.Linear(size, dim) for field, size in in_dims.items()})

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = {}
        for field, linear in self.linears.items():
            value = linear(self.norms[field](pooled_of(encoded[field], present[field])))
            values[field] = keep_rows(value, present[field])
        return values


class TokenProjections(nn.Layer):
    """Token sequences for attention: first the field's embedding as its summary token, then its tokens, if any.

    All are normalised and projected alike (they have one size), get sinusoidal positions, and a learned vector that
    tells the field (Lu et al. 2019, "ViLBERT"). A fusion reads the summary token in the end.

    Args:
        in_dims: size of each field's embedding and tokens.
        dim: size of a projected token; even.

    Inputs: encoded, present {field: [B] bool}. Returns: {field: (tokens [B,1+N_k,dim], mask [B,1+N_k] bool)}, zero
    where the mask is False: at padding and in rows that lack the field.
    """

    def __init__(self, in_dims: Mapping[str, int], dim: int) -> None:
        super().__init__()
        start = nn.initializer.TruncatedNormal(std=0.02)
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.linears = nn.LayerDict({field: nn.Linear(size, dim) for field, size in in_dims.items()})
        self.vectors = nn.ParameterDict(
            {field: self.create_parameter([1, 1, dim], default_initializer=start) for field in in_dims}
        )
        self.positions = SinusoidalPositions(dim)

    def forward(
        self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        sequences = {}
        given = [(field, linear) for field, linear in self.linears.items() if field in encoded]  # a tower has one
        for field, linear in given:
            tokens = pooled_of(encoded[field], present[field]).unsqueeze(1)
            mask = present[field].unsqueeze(-1)
            if encoded[field].tokens is not None:
                steps, step_mask = tokens_of(encoded[field], present[field])
                tokens = paddle.concat([tokens, steps], axis=1)
                mask = paddle.concat([mask, step_mask], axis=1)
            tokens = self.positions(linear(self.norms[field](tokens))) + self.vectors[field]
            sequences[field] = (keep(tokens, mask), mask)
        return sequences


def count_present(present: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """How many fields each row has, at least 1: [B,1] in the type of ``like``."""
    flags = paddle.stack([flags.astype(like.dtype) for flags in present.values()], axis=-1)
    return paddle.clip(flags.sum(axis=-1, keepdim=True), min=1.0)


def mean_of_present(values: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Mean of ``values`` {field: [B,...]} over the fields that a row has: [B,...]; zeros where it has none."""
    kept = [keep_rows(value, present[field]) for field, value in values.items()]
    count = count_present({field: present[field] for field in values}, kept[0])
    return paddle.add_n(kept) / count.reshape([-1] + [1] * (kept[0].ndim - 1))
