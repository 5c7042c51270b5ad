"""Layers whose matrix is a product of two narrow ones, made of plain layers: what knows those knows these."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import Tensor, nn

__all__ = ["FACTORED", "LowRankConv2D", "LowRankEmbedding", "LowRankLinear", "factored"]


class LowRankLinear(nn.Layer):
    """x A B + b in place of x W + b, with A [in,rank] and B [rank,out] (Denton et al. 2014, section 3.2).

    Args:
        base: the layer whose sizes this one has.
        rank: columns of A.

    Inputs: x [...,in]. Returns: [...,out].
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        inputs, outputs = base.weight.shape
        self.narrow = nn.Linear(inputs, rank, bias_attr=False)
        self.wide = nn.Linear(rank, outputs, bias_attr=None if base.bias is not None else False)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(self.narrow(x))

    @property
    def weight(self) -> Tensor:
        """A B [in,out], for those who ask for the layer's sizes."""
        return paddle.matmul(self.narrow.weight, self.wide.weight)

    @property
    def bias(self) -> Tensor | None:
        """That of the second factor."""
        return self.wide.bias


class LowRankEmbedding(nn.Layer):
    """Short vectors of tokens [tokens,rank], all brought to their width by one matrix [rank,dim] (Lan et al. 2020,
    "ALBERT", section 3.1).

    Args:
        base: the layer whose sizes and padding this one has.
        rank: size of the short vectors.

    Inputs: ids [...] int64. Returns: [...,dim].
    """

    def __init__(self, base: nn.Embedding, rank: int) -> None:
        super().__init__()
        tokens, dim = base.weight.shape
        padding = base._padding_idx
        self.narrow = nn.Embedding(tokens, rank, padding_idx=None if padding == -1 else padding)
        self.wide = nn.Linear(rank, dim, bias_attr=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.wide(self.narrow(ids))

    @property
    def weight(self) -> Tensor:
        """The table [tokens,dim]."""
        return paddle.matmul(self.narrow.weight, self.wide.weight)


class LowRankConv2D(nn.Layer):
    """A convolution to ``rank`` channels, then one of 1x1 (Zhang et al. 2015, "Accelerating Very Deep Convolutional
    Networks", section 3.1).

    Args:
        base: the layer, without groups and with zeros as padding, whose sizes and stride this one has.
        rank: channels between.

    Inputs: x [B,in,H,W]. Returns: [B,out,H',W'].
    """

    def __init__(self, base: nn.Conv2D, rank: int) -> None:
        super().__init__()
        outputs, inputs, *window = base.weight.shape
        self.narrow = nn.Conv2D(
            inputs, rank, window, stride=base._stride, padding=base._padding, dilation=base._dilation, bias_attr=False,
            data_format=base._data_format,
        )  # fmt: skip
        bias: Any = None if base.bias is not None else False
        self.wide = nn.Conv2D(rank, outputs, 1, bias_attr=bias, data_format=base._data_format)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(self.narrow(x))

    @property
    def weight(self) -> Tensor:
        """The filters [out,in,h,w]."""
        narrow = self.narrow.weight
        product = paddle.matmul(self.wide.weight.flatten(1), narrow.flatten(1))
        return product.reshape([product.shape[0], *narrow.shape[1:]])

    @property
    def bias(self) -> Tensor | None:
        """That of the second factor."""
        return self.wide.bias


FACTORED: dict[type[nn.Layer], Any] = {
    nn.Linear: LowRankLinear,
    nn.Embedding: LowRankEmbedding,
    nn.Conv2D: LowRankConv2D,
}
"""What takes the place of a plain layer."""


def factored(layer: Any, rank: int) -> Any:
    """The layer of two factors for a plain one (or for what has an equal plain one, LoRA), its weights still to come.

    It is trained where the plain one is. Raises KeyError for another kind of layer.
    """
    plain = layer.merged() if hasattr(layer, "merged") else layer
    new = FACTORED[type(plain)](plain, rank)
    if plain.weight.stop_gradient:
        for parameter in new.parameters():
            parameter.stop_gradient = True
    return new
