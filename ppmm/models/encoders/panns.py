"""PANNs: VGG-like networks over log-mel features (Kong et al. 2020, table 1: CNN10 with the default channels)."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.masking import keep, masked_mean
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["PANNs"]


class ConvBlock(nn.Layer):
    """Two 3x3 convolutions with batch normalisation and ReLU, then 2x2 average pooling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        bands: frequency bands of the input; a single one is not pooled.

    Inputs: x [B,C,T,M] with zeros outside mask [B,T]. Returns: [B,out_channels,ceil(T/2),M//2] and its mask. A last
    step without a partner is averaged with zeros.
    """

    def __init__(self, in_channels: int, out_channels: int, bands: int) -> None:
        super().__init__()
        self.convs = nn.LayerList()
        for before in (in_channels, out_channels):
            conv = nn.Conv2D(before, out_channels, 3, padding=1, bias_attr=False)
            self.convs.append(nn.Sequential(conv, nn.BatchNorm2D(out_channels), nn.ReLU()))
        self.pool = nn.AvgPool2D([2, min(2, bands)])

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        for conv in self.convs:
            x = conv(x)
            if mask is not None:
                x = x * mask.astype(x.dtype).unsqueeze(1).unsqueeze(-1)
        pooled = self.pool(F.pad(x, [0, 0, 0, 1]))
        return pooled, None if mask is None else mask[:, ::2]


@ENCODERS.register("panns")
class PANNs(nn.Layer):
    """Norm per band, blocks of convolutions, mean over frequency, maximum plus mean over time, a linear layer.

    Args:
        in_features: mel bands M.
        dim: size of the embedding.
        channels: channels of each block; each halves time and frequency.
        dropout: before and after the linear layer.

    Inputs: x [B,T,M], mask [B,T] bool or None. Returns: pooled [B,dim], tokens [B,T',dim], token_mask [B,T'] with
    T' = ceil(T / 2**blocks).
    """

    def __init__(
        self, in_features: int, dim: int = 512, channels: list[int] | None = None, dropout: float = 0.2
    ) -> None:
        super().__init__()
        sizes = [64, 128, 256, 512] if channels is None else channels
        if not sizes:
            raise ValueError("channels must name at least one block")
        self.norm = nn.BatchNorm1D(in_features)  # not "NLC": oneDNN then takes every later layer for channels-last
        self.blocks = nn.LayerList()
        bands = in_features
        for before, size in zip([1, *sizes], sizes, strict=False):
            self.blocks.append(ConvBlock(before, size, bands))
            bands = max(1, bands // 2)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(sizes[-1], dim)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        bands = self.norm(keep(x, mask).transpose([0, 2, 1]))
        grid = keep(bands.transpose([0, 2, 1]), mask).unsqueeze(1)
        for block in self.blocks:
            grid, mask = block(grid, mask)
        steps = grid.mean(axis=3).transpose([0, 2, 1])
        summary = steps.max(axis=1) + masked_mean(steps, mask)  # no step is below 0
        pooled = F.relu(self.project(self.dropout(summary)))
        return Encoded(self.dropout(pooled), keep(F.relu(self.project(self.dropout(steps))), mask), mask)
