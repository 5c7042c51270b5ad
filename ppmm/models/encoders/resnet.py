"""Residual networks (He et al. 2016, "Deep Residual Learning for Image Recognition", table 1), thin to wide."""

from __future__ import annotations

from typing import Literal

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.conv_norm import conv_norm
from ppmm.models.layers.drop_path import DropPath, drop_rates
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECK_DEPTHS = (50, 101)
EXPANSION = 4
"""A bottleneck answers with four times the channels of its stage."""


class BasicBlock(nn.Layer):
    """Two 3x3 convolutions and a shortcut: y = relu(x' + F(x)).

    Inputs: x [B,in_channels,H,W]. Returns: [B,out_channels,H/stride,W/stride].
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, 3, stride)
        self.second = conv_norm(out_channels, out_channels, 3)
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.drop_path(self.second(F.relu(self.first(x)))) + self.shortcut(x))


class Bottleneck(nn.Layer):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the stride is in the 3x3 one, as in the released networks.

    Args:
        in_channels: of x.
        inner: channels between the 1x1 convolutions.
        out_channels: of the result.
        stride: of the 3x3 convolution.
        drop_path: stochastic depth of the branch.

    Inputs: x [B,in_channels,H,W]. Returns: [B,out_channels,H/stride,W/stride].
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, inner, 1)
        self.second = conv_norm(inner, inner, 3, stride)
        self.third = conv_norm(inner, out_channels, 1)
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.second(F.relu(self.first(x))))
        return F.relu(self.drop_path(self.third(inner)) + self.shortcut(x))


@ENCODERS.register("resnet")
class ResNet(nn.Layer):
    """ResNet 10 to 101, of any width, for photographs or small pictures.

    Args:
        in_channels: 1 or 3.
        depth: 10, 18, 34 (basic blocks), 50 or 101 (bottlenecks: four times the channels come out).
        width: factor on the channels 64, 128, 256, 512; below 1 is a thin network.
        bottleneck_width: factor on the inner channels of bottlenecks alone; 2 is Wide ResNet-50-2 (Zagoruyko and
            Komodakis 2016).
        stem_stride: 4 is the published stem (7x7, pooling); 2 and 1 are 3x3 stems for pictures of 32 to 64 pixels.
        dropout: on the pooled embedding.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,D], tokens [B,h*w,D] (row by row).
    """

    def __init__(
        self,
        in_channels: int,
        depth: Literal[10, 18, 34, 50, 101] = 18,
        width: float = 1.0,
        bottleneck_width: float = 1.0,
        stem_stride: Literal[1, 2, 4] = 4,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if depth not in BOTTLENECK_DEPTHS and bottleneck_width != 1.0:
            raise ValueError(f"bottleneck_width: depth {depth} has no bottlenecks; use width, or depth 50 or 101")
        channels = [max(8, round(base * width)) for base in (64, 128, 256, 512)]
        if stem_stride == 4:
            pool = nn.MaxPool2D(3, stride=2, padding=1)
            self.stem = nn.Sequential(conv_norm(in_channels, channels[0], 7, 2), nn.ReLU(), pool)
        else:
            self.stem = nn.Sequential(conv_norm(in_channels, channels[0], 3, stem_stride), nn.ReLU())
        blocks: list[nn.Layer] = []
        before = channels[0]
        rates = drop_rates(drop_path, sum(BLOCKS[depth]))
        for stage, (size, count) in enumerate(zip(channels, BLOCKS[depth], strict=True)):
            for number in range(count):
                stride, rate = 2 if stage and number == 0 else 1, rates[len(blocks)]
                if depth in BOTTLENECK_DEPTHS:
                    inner = max(8, round(size * bottleneck_width))
                    blocks.append(Bottleneck(before, inner, size * EXPANSION, stride, rate))
                    before = size * EXPANSION
                else:
                    blocks.append(BasicBlock(before, size, stride, rate))
                    before = size
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = before

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.blocks(self.stem(x))
        pooled = self.dropout(self.pool(grid).flatten(1))
        return Encoded(pooled, grid.flatten(2).transpose([0, 2, 1]))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Layer:
    """The identity where the shapes agree, else a 1x1 convolution (option B of the paper)."""
    same = stride == 1 and in_channels == out_channels
    return nn.Identity() if same else conv_norm(in_channels, out_channels, 1, stride)
