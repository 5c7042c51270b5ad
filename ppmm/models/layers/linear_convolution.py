"""A linear layer in the form of a convolution, of which INT8 kernels take a range for each output channel."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

__all__ = ["LinearConvolution"]


class LinearConvolution(nn.Layer):
    """y = W x + b as a convolution with windows of one place.

    Args:
        base: its weight [in,out] becomes one of [out,in,1,1].

    Inputs: x [B,in], [B,T,in] or [B,H,W,in]; of other ranks it computes in float32. Returns: the same with out.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        inputs, outputs = base.weight.shape
        self.convolution = nn.Conv2D(inputs, outputs, 1, bias_attr=None if base.bias is not None else False)
        self.convolution.weight.set_value(base.weight.t().unsqueeze([2, 3]))
        if base.bias is not None:
            self.convolution.bias.set_value(base.bias)

    @property
    def weight(self) -> Tensor:
        """[in,out], for those who read it without calling the layer."""
        return self.convolution.weight.squeeze([2, 3]).t()

    @property
    def bias(self) -> Tensor | None:
        """[out], None where there is none."""
        found: Tensor | None = self.convolution.bias
        return found

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            return self.convolution(x.unsqueeze([2, 3])).squeeze([2, 3])
        if x.ndim == 3:
            y = self.convolution(x.transpose([0, 2, 1]).unsqueeze(2))
            return y.squeeze(2).transpose([0, 2, 1])
        if x.ndim == 4:
            return self.convolution(x.transpose([0, 3, 1, 2])).transpose([0, 2, 3, 1])
        return F.linear(x, self.weight, self.bias)
