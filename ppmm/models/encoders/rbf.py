"""Radial-basis encoders: how near a vector, or a small picture, is to each of some learned prototypes."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.missing_values import MissingValues
from ppmm.models.layers.rbf import RBF
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["ImageRBF", "NumericRBF"]


@ENCODERS.register("rbf")
class NumericRBF(nn.Layer):
    """Gaussian units over a vector of numbers; with a linear head a radial-basis network (Broomhead and Lowe 1988).

    Centres come from the training data before the first step (`RBF.init_from`). Distances add the numbers up as they
    are: bring them to one scale. Over another encoder's embedding take the head ``rbf``.

    Args:
        in_features: size of the vector.
        centres: number of units, the size of the embedding.
        missing: numbers may be NaN (the field says so): each gets a learned value and an indicator.

    Inputs: x [B,in_features]. Returns: pooled [B,centres] in 0..1.
    """

    def __init__(self, in_features: int, centres: int = 64, missing: bool = False) -> None:
        super().__init__()
        self.missing = MissingValues(in_features) if missing else None
        self.rbf = RBF(in_features if self.missing is None else self.missing.out_dim, centres)
        self.out_dim = centres

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        return Encoded(self.rbf(x if self.missing is None else self.missing(x)))


@ENCODERS.register("rbf_image")
class ImageRBF(nn.Layer):
    """Gaussian units over the pixels of a small picture: prototypes in the sense of template matching.

    Args:
        in_channels: 1 or 3.
        size: pictures are averaged to ``size`` x ``size`` pixels; their own size leaves them as they are.
        centres: number of units, the size of the embedding.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,centres] in 0..1.
    """

    def __init__(self, in_channels: int, size: int = 14, centres: int = 128) -> None:
        super().__init__()
        self.shrink = nn.AdaptiveAvgPool2D(size)
        self.rbf = RBF(in_channels * size * size, centres)
        self.out_dim = centres

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        return Encoded(self.rbf(self.shrink(x).flatten(1)))
