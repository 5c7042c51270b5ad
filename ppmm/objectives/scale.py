"""A learnable factor on similarities: the inverse of a temperature."""

from __future__ import annotations

import math

import paddle
from paddle import Tensor, nn

__all__ = ["Scale"]


class Scale(nn.Layer):
    """s = exp(w) = 1 / temperature, learned as w (Radford et al. 2021, CLIP, section 2.5) and kept within bounds.

    As there, w is set back to its bound when a step of the optimizer has led beyond; without, training may diverge.

    Args:
        temperature: at the start.
        least: the smallest temperature (CLIP has 1/100).
        most: the largest one.
        learnable: False keeps it as it is.

    Returns: the factor, a scalar.
    """

    def __init__(self, temperature: float, least: float = 0.01, most: float = 10.0, learnable: bool = True) -> None:
        super().__init__()
        if not 0 < least <= temperature <= most < math.inf:
            raise ValueError(f"temperature must be within {least:g} and {most:g}, got {temperature}")
        self.bounds = math.log(1 / most), math.log(1 / least)
        start = nn.initializer.Constant(math.log(1 / temperature))
        self.log_scale = self.create_parameter([1], default_initializer=start)
        self.log_scale.stop_gradient = not learnable

    def forward(self) -> Tensor:
        low, high = self.bounds
        if not self.training:
            return paddle.exp(paddle.clip(self.log_scale, low, high)).squeeze(0)
        if not low <= float(self.log_scale) <= high:
            with paddle.no_grad():
                self.log_scale.set_value(paddle.clip(self.log_scale, low, high))
        return paddle.exp(self.log_scale).squeeze(0)
