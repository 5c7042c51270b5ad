"""Positions without parameters, for sequences of any length (Vaswani et al. 2017, section 3.5)."""

from __future__ import annotations

import math

import paddle
from paddle import Tensor, nn

__all__ = ["SinusoidalPositions"]


class SinusoidalPositions(nn.Layer):
    """sin(p w_i) in the first half of the channels and cos(p w_i) in the second, w_i = 10000^(-2i/dim).

    Args:
        dim: size of a token; even.

    Inputs: x [B,N,dim]. Returns: x + positions 0..N-1. Raises ValueError for an odd dim.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"dim must be even, got {dim}")
        rates = paddle.exp(paddle.arange(0, dim, 2, dtype="float32") * (-math.log(10000.0) / dim))
        self.register_buffer("rates", rates, persistable=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(x)

    def table(self, x: Tensor) -> Tensor:
        """The positions alone, for as many steps as x [B,N,...] has: [1,N,dim]."""
        places = paddle.cumsum(paddle.ones_like(x[:1, :, :1]), axis=1) - 1.0
        angles = places * self.rates
        return paddle.concat([paddle.sin(angles), paddle.cos(angles)], axis=-1)
