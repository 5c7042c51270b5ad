"""Missing numbers: an indicator for each, and a learned value in their place."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

__all__ = ["MissingValues"]


class MissingValues(nn.Layer):
    """NaN -> a learned value, and beside the numbers an indicator 1 for each that was missing.

    Zero imputation cannot tell "0" from "unknown"; with the indicators a network can (Van Ness et al. 2023, "The
    Missing Indicator Method"). The learned values start at 0.

    Args:
        in_features: numbers D of a row.

    Inputs: x [B,D], NaN where missing. Returns: [B,2D], finite where x is finite or NaN: numbers, then indicators.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.fill = self.create_parameter([in_features], default_initializer=nn.initializer.Constant(0.0))
        self.out_dim = 2 * in_features

    def forward(self, x: Tensor) -> Tensor:
        missing = paddle.isnan(x)
        numbers = paddle.where(missing, self.fill.unsqueeze(0).expand_as(x), x)
        return paddle.concat([numbers, missing.astype(x.dtype)], axis=1)
