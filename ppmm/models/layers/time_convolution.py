"""A convolution over time in the form that INT8 kernels know."""

from __future__ import annotations

from typing import Any

from paddle import Tensor, nn

__all__ = ["TimeConvolution", "convolution_settings"]


def convolution_settings(layer: Any) -> dict[str, Any]:
    """Of a convolution, as functions and constructors take them."""
    return {
        "stride": layer._stride, "padding": layer._padding, "dilation": layer._dilation, "groups": layer._groups,
        "data_format": layer._data_format,
    }  # fmt: skip


class TimeConvolution(nn.Layer):
    """A convolution over time as one over pictures of one row: what Paddle makes of it, but with a weight in that form.

    Paddle reshapes the weight within the graph, where quantisation does not find it as a weight.

    Args:
        base: padded with zeros; its weight [out,in,k] becomes one of [out,in,1,k].

    Inputs: x [B,in,T], or [B,T,in] where the base had its channels last. Returns: the same order.
    """

    def __init__(self, base: nn.Conv1D) -> None:
        super().__init__()
        settings = convolution_settings(base)
        self.last = settings["data_format"] == "NLC"
        padding = settings["padding"]
        if not isinstance(padding, str):
            sides = _listed(padding)
            padding = [0, *sides] if len(sides) == 1 else [0, 0, *sides]
        outputs, inputs, size = base.weight.shape
        self.convolution = nn.Conv2D(
            inputs * base._groups, outputs, [1, size], [1, *_listed(base._stride)], padding,
            [1, *_listed(base._dilation)], base._groups, bias_attr=None if base.bias is not None else False,
        )  # fmt: skip
        self.convolution.weight.set_value(base.weight.unsqueeze(2))
        if base.bias is not None:
            self.convolution.bias.set_value(base.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose([0, 2, 1]) if self.last else x
        y = self.convolution(x.unsqueeze(2)).squeeze(2)
        return y.transpose([0, 2, 1]) if self.last else y


def _listed(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)
