"""Residual network of basic blocks (He et al. 2016, "Deep Residual Learning for Image Recognition", table 1)."""

from __future__ import annotations

from typing import Literal

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["BasicBlock", "ResNet"]

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias and batch normalisation, padded so that stride 1 keeps the size."""
    conv = nn.Conv2D(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias_attr=False)
    return nn.Sequential(conv, nn.BatchNorm2D(out_channels))


class BasicBlock(nn.Layer):
    """Two 3x3 convolutions and a shortcut: y = relu(x' + F(x)).

    Inputs: x [B,in_channels,H,W]. Returns: [B,out_channels,H/stride,W/stride].
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, 3, stride)
        self.second = conv_norm(out_channels, out_channels, 3)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else conv_norm(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


@ENCODERS.register("resnet")
class ResNet(nn.Layer):
    """ResNet 10, 18 or 34, of any width, for photographs or small pictures.

    Args:
        in_channels: 1 or 3.
        depth: 10, 18 or 34.
        width: factor on the channels 64, 128, 256, 512.
        stem_stride: 4 is the published stem (7x7, pooling); 2 and 1 are 3x3 stems for pictures of 32 to 64 pixels.
        dropout: on the pooled embedding.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,D], tokens [B,h*w,D] (row by row).
    """

    def __init__(
        self,
        in_channels: int,
        depth: Literal[10, 18, 34] = 18,
        width: float = 1.0,
        stem_stride: Literal[1, 2, 4] = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels = [max(8, round(base * width)) for base in (64, 128, 256, 512)]
        if stem_stride == 4:
            pool = nn.MaxPool2D(3, stride=2, padding=1)
            self.stem = nn.Sequential(conv_norm(in_channels, channels[0], 7, 2), nn.ReLU(), pool)
        else:
            self.stem = nn.Sequential(conv_norm(in_channels, channels[0], 3, stem_stride), nn.ReLU())
        blocks: list[nn.Layer] = []
        before = channels[0]
        for stage, (size, count) in enumerate(zip(channels, BLOCKS[depth], strict=True)):
            for number in range(count):
                blocks.append(BasicBlock(before, size, stride=2 if stage and number == 0 else 1))
                before = size
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = channels[-1]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.blocks(self.stem(x))
        pooled = self.dropout(self.pool(grid).flatten(1))
        return Encoded(pooled, grid.flatten(2).transpose([0, 2, 1]))
