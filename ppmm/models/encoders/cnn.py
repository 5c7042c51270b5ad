"""Plain convolutional network in the manner of VGG (Simonyan and Zisserman 2015): convolution, norm, ReLU, pooling."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["CNN"]


@ENCODERS.register("cnn")
class CNN(nn.Layer):
    """One 3x3 convolution per stage, each followed by 2x2 max pooling.

    Args:
        in_channels: 1 or 3.
        channels: output channels of each stage; the picture must be at least ``2 ** len(channels)`` pixels wide.
        dropout: on the pooled embedding.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,channels[-1]], tokens [B,h*w,channels[-1]].
    """

    def __init__(self, in_channels: int, channels: list[int] | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [32, 64, 128] if channels is None else channels
        if not sizes:
            raise ValueError("channels must name at least one stage")
        stages: list[nn.Layer] = []
        for before, size in zip([in_channels, *sizes], sizes, strict=False):
            stages += [nn.Conv2D(before, size, 3, padding=1, bias_attr=False), nn.BatchNorm2D(size), nn.ReLU()]
            stages.append(nn.MaxPool2D(2))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = sizes[-1]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.stages(x)
        pooled = self.dropout(self.pool(grid).flatten(1))
        return Encoded(pooled, grid.flatten(2).transpose([0, 2, 1]))
