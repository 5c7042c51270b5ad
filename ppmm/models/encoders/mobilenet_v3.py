"""MobileNetV3 (Howard et al. 2019, "Searching for MobileNetV3", tables 1 and 2)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from paddle import Tensor, nn

from ppmm.models.layers.conv_norm import conv_norm
from ppmm.models.layers.drop_path import DropPath, drop_rates
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["InvertedResidual", "MobileNetV3", "SqueezeExcitation"]

EPSILON = 1e-3
"""Of batch normalisation, as in the released networks."""


class Row(NamedTuple):
    """A row of the paper's tables: kernel, channels inside and out, squeeze-excitation, hard-swish, stride."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    swish: bool
    stride: int


TABLES = {
    "large": (
        Row(3, 16, 16, False, False, 1),
        Row(3, 64, 24, False, False, 2),
        Row(3, 72, 24, False, False, 1),
        Row(5, 72, 40, True, False, 2),
        Row(5, 120, 40, True, False, 1),
        Row(5, 120, 40, True, False, 1),
        Row(3, 240, 80, False, True, 2),
        Row(3, 200, 80, False, True, 1),
        Row(3, 184, 80, False, True, 1),
        Row(3, 184, 80, False, True, 1),
        Row(3, 480, 112, True, True, 1),
        Row(3, 672, 112, True, True, 1),
        Row(5, 672, 160, True, True, 2),
        Row(5, 960, 160, True, True, 1),
        Row(5, 960, 160, True, True, 1),
    ),
    "small": (
        Row(3, 16, 16, True, False, 2),
        Row(3, 72, 24, False, False, 2),
        Row(3, 88, 24, False, False, 1),
        Row(5, 96, 40, True, True, 2),
        Row(5, 240, 40, True, True, 1),
        Row(5, 240, 40, True, True, 1),
        Row(5, 120, 48, True, True, 1),
        Row(5, 144, 48, True, True, 1),
        Row(5, 288, 96, True, True, 2),
        Row(5, 576, 96, True, True, 1),
        Row(5, 576, 96, True, True, 1),
    ),
}


class SqueezeExcitation(nn.Layer):
    """Channels weighted by hard-sigmoid(W2 relu(W1 mean(x))) (Hu et al. 2018, equations 2 to 4).

    Inputs: x [B,C,H,W]. Returns: the same shape.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.reduce = nn.Conv2D(channels, squeezed, 1)
        self.expand = nn.Conv2D(squeezed, channels, 1)
        self.inner = nn.ReLU()
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.inner(self.reduce(self.pool(x)))))


class InvertedResidual(nn.Layer):
    """Widen by 1x1, filter each channel, weigh the channels, narrow by 1x1; a shortcut where the shapes agree.

    Args:
        in_channels: of x.
        row: what the block does, channels already scaled.
        drop_path: stochastic depth of the branch, where there is a shortcut.

    Inputs: x [B,in_channels,H,W]. Returns: [B,row.out,H/stride,W/stride].
    """

    def __init__(self, in_channels: int, row: Row, drop_path: float = 0.0) -> None:
        super().__init__()
        swish = nn.Hardswish if row.swish else nn.ReLU
        parts: list[nn.Layer] = []
        if row.expanded != in_channels:
            parts += [conv_norm(in_channels, row.expanded, 1, epsilon=EPSILON), swish()]
        depthwise = conv_norm(row.expanded, row.expanded, row.kernel, row.stride, row.expanded, EPSILON)
        parts += [depthwise, swish()]
        if row.squeeze:
            parts.append(SqueezeExcitation(row.expanded, divisible(row.expanded / 4)))
        parts.append(conv_norm(row.expanded, row.out, 1, epsilon=EPSILON))
        self.branch = nn.Sequential(*parts)
        self.residual = row.stride == 1 and in_channels == row.out
        self.drop_path = DropPath(drop_path if self.residual else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.drop_path(self.branch(x))
        return x + branch if self.residual else branch


@ENCODERS.register("mobilenet_v3")
class MobileNetV3(nn.Layer):
    """MobileNetV3 up to its last convolution, of any width.

    Args:
        in_channels: 1 or 3.
        size: the paper's small or large network.
        width: factor on all channels, which stay multiples of 8.
        stem_stride: 2 as published; 1 for pictures of 32 to 64 pixels.
        dropout: on the pooled embedding.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,D], tokens [B,h*w,D] (row by row); D is 576 or 960 at width 1.
    """

    def __init__(
        self,
        in_channels: int,
        size: Literal["small", "large"] = "small",
        width: float = 1.0,
        stem_stride: Literal[1, 2] = 2,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        rows = [
            row._replace(expanded=divisible(row.expanded * width), out=divisible(row.out * width))
            for row in TABLES[size]
        ]
        before = divisible(16 * width)
        blocks: list[nn.Layer] = []
        for row, rate in zip(rows, drop_rates(drop_path, len(rows)), strict=True):
            blocks.append(InvertedResidual(before, row, rate))
            before = row.out
        self.out_dim = 6 * before
        stem = conv_norm(in_channels, divisible(16 * width), 3, stem_stride, epsilon=EPSILON)
        self.stem = nn.Sequential(stem, nn.Hardswish())
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(conv_norm(before, self.out_dim, 1, epsilon=EPSILON), nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.last(self.blocks(self.stem(x)))
        pooled = self.dropout(self.pool(grid).flatten(1))
        return Encoded(pooled, grid.flatten(2).transpose([0, 2, 1]))


def divisible(channels: float, by: int = 8) -> int:
    """``channels`` rounded to a multiple of ``by``, at least ``by``, and never below 90 % of it."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest if nearest >= 0.9 * channels else nearest + by
