"""ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s"): a convolutional network with the habits of a Transformer."""

from __future__ import annotations

from typing import Literal

from paddle import Tensor, nn

from ppmm.models.layers.drop_path import DropPath, drop_rates
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["ChannelNorm", "ConvNeXt", "ConvNeXtBlock"]

LAYER_SCALE = 1e-6


class ChannelNorm(nn.Layer):
    """Layer normalisation over the channels of every pixel.

    Inputs: x [B,C,H,W]. Returns: the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, epsilon=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.transpose([0, 2, 3, 1])).transpose([0, 3, 1, 2])


class ConvNeXtBlock(nn.Layer):
    """y = x + scale * W2 gelu(W1 norm(depthwise 7x7(x))) (figure 4 of the paper), the linear layers pixel by pixel.

    Inputs: x [B,C,H,W]. Returns: the same shape.
    """

    def __init__(self, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.depthwise = nn.Conv2D(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, epsilon=1e-6)
        self.expand = nn.Linear(channels, 4 * channels)
        self.activation = nn.GELU()
        self.reduce = nn.Linear(4 * channels, channels)
        self.scale = self.create_parameter([channels], default_initializer=nn.initializer.Constant(LAYER_SCALE))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.norm(self.depthwise(x).transpose([0, 2, 3, 1]))
        branch = self.reduce(self.activation(self.expand(pixels))) * self.scale
        return x + self.drop_path(branch.transpose([0, 3, 1, 2]))


@ENCODERS.register("convnext")
class ConvNeXt(nn.Layer):
    """Four stages of blocks, each after the first at half the resolution.

    Published sizes: tiny is the default, small ``depths: [3, 3, 27, 3]``, base the same with ``width: 1.3334``, large
    with ``width: 2``, atto ``depths: [2, 2, 6, 2], width: 0.41667``.

    Args:
        in_channels: 1 or 3.
        depths: blocks of each stage, four numbers.
        width: factor on the channels 96, 192, 384, 768.
        patch: side of the pixels that the stem joins into one; 4 as published, 2 or 1 for pictures of 32 to 64 pixels.
        dropout: on the pooled embedding.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first.

    Inputs: x [B,in_channels,H,W], at least ``8 * patch`` pixels wide and high. Returns: pooled [B,D], tokens [B,h*w,D]
    (row by row), both normalised by the same layer.
    """

    def __init__(
        self,
        in_channels: int,
        depths: list[int] | None = None,
        width: float = 1.0,
        patch: Literal[1, 2, 4] = 4,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        depths = [3, 3, 9, 3] if depths is None else depths
        if len(depths) != 4 or min(depths) < 1:
            raise ValueError(f"depths must be the blocks of four stages, at least 1 each, got {depths}")
        channels = [max(8, round(base * width)) for base in (96, 192, 384, 768)]
        rates = drop_rates(drop_path, sum(depths))
        parts: list[nn.Layer] = [nn.Conv2D(in_channels, channels[0], patch, stride=patch), ChannelNorm(channels[0])]
        for stage, (size, count) in enumerate(zip(channels, depths, strict=True)):
            if stage:
                parts += [ChannelNorm(channels[stage - 1]), nn.Conv2D(channels[stage - 1], size, 2, stride=2)]
            start = sum(depths[:stage])
            parts += [ConvNeXtBlock(size, rate) for rate in rates[start : start + count]]
        self.stages = nn.Sequential(*parts)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.norm = nn.LayerNorm(channels[-1], epsilon=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = channels[-1]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.stages(x)
        pooled = self.dropout(self.norm(self.pool(grid).flatten(1)))
        return Encoded(pooled, self.norm(grid.flatten(2).transpose([0, 2, 1])))
