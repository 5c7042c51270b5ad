"""A picture of several panels side by side: one convolutional network reads each, a token stands for a panel."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from ppmm.errors import DataError
from ppmm.models.layers.conv_norm import conv_norm
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["Panels"]


@ENCODERS.register("panels")
class Panels(nn.Layer):
    """t_p = relu(W [mean_xy f(x_p), max_xy f(x_p)] + b) for each panel x_p; the embedding is their mean.

    f is a plain convolutional network, the same for all panels, so the embedding does not depend on their order; its
    tokens are the panels, over which a fusion with a text (``film``) can count. What lies between panels is cut off.

    Args:
        in_channels: 1 or 3.
        panels: how many there are, from left to right, all of one width.
        gap: width of what lies between two of them, as a share of a panel's width.
        channels: of each stage of f: two 3x3 convolutions, the first of which halves the sides.
        dim: size of the embedding and of a token.
        dropout: on the tokens.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,dim], tokens [B,panels,dim]. Raises DataError for a picture of
    fewer columns than panels.
    """

    def __init__(
        self,
        in_channels: int,
        panels: int = 3,
        gap: float = 0.0,
        channels: list[int] | None = None,
        dim: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [16, 48, 96] if channels is None else channels
        if panels < 1 or gap < 0.0 or not sizes:
            raise ValueError(f"panels: {panels} must be at least 1, gap: {gap} at least 0, channels at least one stage")
        self.panels = panels
        self.gap = gap
        stages: list[nn.Layer] = []
        for before, size in zip([in_channels, *sizes], sizes, strict=False):
            stages += [conv_norm(before, size, 3, stride=2), nn.ReLU(), conv_norm(size, size, 3), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.project = nn.Sequential(nn.Linear(2 * sizes[-1], dim), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.stages(self.cut(x))
        seen = paddle.concat([grid.mean(axis=[2, 3]), grid.max(axis=[2, 3])], axis=-1)
        tokens = self.dropout(self.project(seen))
        tokens = tokens.reshape([-1, self.panels, tokens.shape[-1]])
        return Encoded(tokens.mean(axis=1), tokens)

    def cut(self, x: Tensor) -> Tensor:
        """Pictures [B,C,H,W] -> their panels, one after the other: [B*panels,C,H,width]."""
        wide = x.shape[3] / (self.panels + self.gap * (self.panels - 1))
        width = int(wide)
        if width < 1:
            raise DataError(f"panels: a picture of {x.shape[3]} columns cannot be cut into {self.panels} panels")
        starts = [int(number * wide * (1.0 + self.gap)) for number in range(self.panels)]
        parts = paddle.stack([x[:, :, :, start : start + width] for start in starts], axis=1)
        return parts.reshape([-1, x.shape[1], x.shape[2], width])
