"""A learned embedding in place of an absent field (as the missing-modality tokens of Lee et al. 2023, CVPR)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.encoded import token_mask_of
from ppmm.models.layers.masking import choose
from ppmm.types import Encoded

__all__ = ["Imputation"]


class Imputation(nn.Layer):
    """Fills absent fields with one learned vector per field, and says that every field is present.

    What stood in the place of an absent field still never influences the result.

    Args:
        in_dims: size of each field's embedding.

    Inputs: encoded, present {field: [B] bool}. Returns: the same, filled: ``pooled`` and the only counting token of
    an absent field are its vector.
    """

    def __init__(self, in_dims: dict[str, int]) -> None:
        super().__init__()
        self.fields = tuple(in_dims)
        start = nn.initializer.Normal(std=0.02)
        self.vectors = nn.ParameterDict(
            {field: self.create_parameter([1, size], default_initializer=start) for field, size in in_dims.items()}
        )

    def forward(
        self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]
    ) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
        filled = {field: _fill(encoded[field], present[field], self.vectors[field]) for field in self.fields}
        return filled, {field: paddle.ones_like(present[field]) for field in filled}


def _fill(encoded: Encoded, present: Tensor, vector: Tensor) -> Encoded:
    pooled = choose(present.unsqueeze(-1), encoded.pooled, vector.astype(encoded.pooled.dtype))
    if encoded.tokens is None:
        return Encoded(pooled)
    row = present.unsqueeze(-1)
    tokens = choose(row.unsqueeze(-1), encoded.tokens, vector.astype(encoded.tokens.dtype).unsqueeze(0))
    mask = token_mask_of(encoded)
    first = paddle.cumsum(paddle.ones_like(mask).astype("int64"), axis=1) == 1
    return Encoded(pooled, tokens, choose(row, mask, first))
