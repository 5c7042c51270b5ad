"""LeNet-5 (LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", figure 2)."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.errors import DataError
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["LeNet"]

SMALLEST = 28
"""Pixels: below it, C5 has no place for its 5x5 kernel."""


@ENCODERS.register("lenet")
class LeNet(nn.Layer):
    """Two 5x5 convolutions with pooling, a third one, a dense layer: C1, S2, C3, S4, C5 and F6 of the paper.

    As usual today with ReLU and maxima instead of tanh and means, C3 sees all maps of S2, and C1 is padded, so that 28
    pixels are enough. C5 is a convolution as in the paper: a larger picture gives several tokens, F6 is applied to
    each, and the embedding is their mean.

    Args:
        in_channels: 1 or 3.
        width: factor on the channels 6, 16, 120 and 84.
        dropout: on what F6 says.

    Inputs: x [B,in_channels,H,W], at least 28 pixels wide and high. Returns: pooled [B,D], tokens [B,h*w,D]; D is 84 at
    width 1, and h*w is 1 for 28x28 pixels. Raises DataError for smaller pictures.
    """

    def __init__(self, in_channels: int, width: float = 1.0, dropout: float = 0.0) -> None:
        super().__init__()
        first, second, third, last = (max(4, round(base * width)) for base in (6, 16, 120, 84))
        self.c1 = nn.Conv2D(in_channels, first, 5, padding=2)
        self.c3 = nn.Conv2D(first, second, 5)
        self.c5 = nn.Conv2D(second, third, 5)
        self.pool = nn.MaxPool2D(2)
        self.f6 = nn.Linear(third, last)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = last

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        _check_sides(x.shape[2], x.shape[3])
        grid = self.pool(F.relu(self.c3(self.pool(F.relu(self.c1(x))))))
        positions = F.relu(self.c5(grid)).flatten(2).transpose([0, 2, 1])
        tokens = self.dropout(F.relu(self.f6(positions)))
        return Encoded(tokens.mean(axis=1), tokens)


def _check_sides(height: int, width: int) -> None:
    """Raises DataError where the kernels do not fit into the picture."""
    if height < SMALLEST or width < SMALLEST:
        raise DataError(
            f"lenet: a picture of {height}x{width} pixels is too small; the size of the image field must be at least "
            f"{SMALLEST}x{SMALLEST}, or take the encoder cnn"
        )
