"""Convolutional encoder of log-mel features, in the manner of PANNs (Kong et al. 2020) at a small size."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.audio_stages import AudioStages
from ppmm.models.layers.masking import keep, masked_mean
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["AudioCNN"]


@ENCODERS.register("audio_cnn")
class AudioCNN(nn.Layer):
    """Strided convolutions, a projection per time step, mean over time.

    Args:
        in_features: mel bands M.
        dim: size of the embedding.
        channels: channels of each stage; each halves time and frequency.
        dropout: on the projected steps.

    Inputs: x [B,T,M], mask [B,T] bool or None. Returns: pooled [B,dim], tokens [B,T',dim], token_mask [B,T'].
    """

    def __init__(
        self, in_features: int, dim: int = 128, channels: list[int] | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stages = AudioStages(in_features, [16, 32, 64] if channels is None else channels)
        self.project = nn.Linear(self.stages.out_dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid, mask = self.stages(x, mask)
        steps = keep(self.dropout(F.relu(self.project(grid))), mask)
        return Encoded(masked_mean(steps, mask), steps, mask)
