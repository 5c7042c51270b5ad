"""Stochastic depth (Huang et al. 2016, "Deep Networks with Stochastic Depth"), a row at a time."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

__all__ = ["DropPath", "drop_rates"]


class DropPath(nn.Layer):
    """Leaves out a residual branch for random rows in training; y = x b / (1 - rate) with b ~ Bernoulli(1 - rate).

    Args:
        rate: probability that a row loses the branch, in [0, 1).

    Inputs: x [B,...], the branch before it is added. Returns: the same shape; ``x`` itself in evaluation.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"the rate of stochastic depth must be in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        rows = paddle.rand([x.shape[0]] + [1] * (x.ndim - 1)) >= self.rate
        return x * (rows.astype(x.dtype) / (1.0 - self.rate))


def drop_rates(last: float, count: int) -> list[float]:
    """Rates of ``count`` blocks: linear from 0 at the first to ``last`` at the last one (section 3 of the paper)."""
    return [last * number / max(1, count - 1) for number in range(count)]
