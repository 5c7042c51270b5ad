"""Layers with a low-rank update beside their weight (Hu et al. 2021, "LoRA: Low-Rank Adaptation of ...").

W x + (alpha / rank) B A x (equation 3): A random, B zero, so that training begins with the layer as it was.
"""

from __future__ import annotations

import math
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

__all__ = ["LoRAConv2D", "LoRALinear"]


class LoRALinear(nn.Layer):
    """A linear layer with an update of rank ``rank``.

    Args:
        base: the layer, whose weight [in,out] and bias this one takes over.
        rank: columns of A.
        alpha: the update is multiplied by alpha / rank.
        dropout: on what the update sees.

    Inputs: x [...,in]. Returns: [...,out].
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        inputs, outputs = base.weight.shape
        self.lora_a = self.create_parameter([inputs, rank], default_initializer=_as_a_linear_layer(inputs))
        self.lora_b = self.create_parameter([rank, outputs], default_initializer=nn.initializer.Constant(0.0))
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        update = paddle.matmul(paddle.matmul(self.dropout(x), self.lora_a), self.lora_b)
        return F.linear(x, self.weight, self.bias) + update * self.scale

    def merged(self) -> nn.Linear:
        """A plain layer that answers the same."""
        inputs, outputs = self.weight.shape
        plain = nn.Linear(inputs, outputs, bias_attr=None if self.bias is not None else False)
        plain.weight.set_value(self.weight + paddle.matmul(self.lora_a, self.lora_b) * self.scale)
        if self.bias is not None:
            plain.bias.set_value(self.bias)
        return plain


class LoRAConv2D(nn.Layer):
    """A convolution with an update of rank ``rank``: a convolution to ``rank`` channels, then one of 1x1.

    Args:
        base: the layer, without groups and with zeros as padding, whose weight [out,in,h,w] and bias this one takes.
        rank: channels between.
        alpha: the update is multiplied by alpha / rank.
        dropout: on what the update sees.

    Inputs: x [B,in,H,W]. Returns: [B,out,H',W'].
    """

    def __init__(self, base: nn.Conv2D, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        self.arguments: dict[str, Any] = {
            "stride": base._stride, "padding": base._padding, "dilation": base._dilation,
            "data_format": base._data_format,
        }  # fmt: skip
        outputs, *window = base.weight.shape
        self.lora_a = self.create_parameter([rank, *window], default_initializer=_as_a_linear_layer(math.prod(window)))
        self.lora_b = self.create_parameter([outputs, rank, 1, 1], default_initializer=nn.initializer.Constant(0.0))
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        narrow = F.conv2d(self.dropout(x), self.lora_a, **self.arguments)
        update = F.conv2d(narrow, self.lora_b, data_format=self.arguments["data_format"])
        return F.conv2d(x, self.weight, self.bias, **self.arguments) + update * self.scale

    def merged(self) -> nn.Conv2D:
        """A plain layer that answers the same."""
        outputs, inputs, *kernel = self.weight.shape
        plain = nn.Conv2D(inputs, outputs, kernel, bias_attr=None if self.bias is not None else False, **self.arguments)
        update = paddle.matmul(self.lora_b.flatten(1), self.lora_a.flatten(1)).reshape(self.weight.shape)
        plain.weight.set_value(self.weight + update * self.scale)
        if self.bias is not None:
            plain.bias.set_value(self.bias)
        return plain


def _as_a_linear_layer(inputs: int) -> nn.initializer.Initializer:
    """How A begins: as the authors' program has it, uniform with the bound 1 / sqrt(inputs)."""
    bound = 1.0 / math.sqrt(inputs)
    return nn.initializer.Uniform(-bound, bound)
