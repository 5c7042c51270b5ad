"""Convolutions over a log-mel picture [B,1,T,M] that halve time and frequency and leave padding at zero."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.masking import keep

__all__ = ["AudioStages"]


class AudioStages(nn.Layer):
    """3x3 convolutions with stride 2, batch normalisation and ReLU.

    Padded steps are set to zero before and after each stage, so that a clip's result does not depend on how long the
    other clips of its batch are.

    Args:
        in_features: mel bands M.
        channels: output channels of each stage.

    Inputs: x [B,T,M], mask [B,T] bool or None. Returns: [B,T',out_dim] with T' = ceil(T / 2**stages) and its mask.
    """

    def __init__(self, in_features: int, channels: list[int]) -> None:
        super().__init__()
        if not channels:
            raise ValueError("channels must name at least one stage")
        self.stages = nn.LayerList()
        bands = in_features
        for before, size in zip([1, *channels], channels, strict=False):
            conv = nn.Conv2D(before, size, 3, stride=2, padding=1, bias_attr=False)
            self.stages.append(nn.Sequential(conv, nn.BatchNorm2D(size), nn.ReLU()))
            bands = (bands + 1) // 2
        self.out_dim = channels[-1] * bands

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        grid = keep(x, mask).unsqueeze(1)
        for stage in self.stages:
            grid = stage(grid)
            if mask is not None:
                mask = mask[:, ::2]
                grid = grid * mask.astype(grid.dtype).unsqueeze(1).unsqueeze(-1)
        return grid.transpose([0, 2, 1, 3]).flatten(2), mask
