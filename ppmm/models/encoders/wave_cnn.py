"""Convolutions over raw samples (Dai et al. 2017, "Very deep convolutional neural networks for raw waveforms", M5)."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.masking import keep, masked_mean
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["WaveCNN"]

POOL = 4


@ENCODERS.register("wave_cnn")
class WaveCNN(nn.Layer):
    """A wide strided convolution that learns its own filter bank, then narrow ones; a pooling by 4 after each.

    The field must be a ``waveform``.

    Args:
        in_channels: 1, which a field of waveforms provides.
        channels: channels of each convolution; the first one has windows of ``window`` samples.
        window: samples of the first filters: 80 are 10 ms at 8 kHz.
        stride: samples from one step of the first convolution to the next.
        dropout: on the pooled embedding.

    Inputs: x [B,T] float32, mask [B,T] bool or None. Returns: pooled [B,channels[-1]], tokens [B,T',channels[-1]],
    token_mask [B,T'] with T' = ceil(T / (stride * 4**len(channels))).
    """

    def __init__(
        self,
        in_channels: int,
        channels: list[int] | None = None,
        window: int = 80,
        stride: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [64, 64, 128, 256] if channels is None else channels
        if in_channels != 1:
            raise ValueError(f"reads one channel of samples, got {in_channels}; the field must be a waveform")
        if not sizes or window < 1 or stride < 1:
            raise ValueError("channels must name at least one convolution; window and stride must be at least 1")
        self.stride = stride
        self.stages = nn.LayerList()
        for number, (before, size) in enumerate(zip([1, *sizes], sizes, strict=False)):
            width, step = (3, 1) if number else (window, stride)
            sides = nn.Pad1D([(width - 1) // 2, width // 2])
            conv = nn.Conv1D(before, size, width, stride=step, bias_attr=False)
            self.stages.append(nn.Sequential(sides, conv, nn.BatchNorm1D(size), nn.ReLU()))
        self.pool = nn.Sequential(nn.Pad1D([0, POOL - 1]), nn.MaxPool1D(POOL))
        self.dropout = nn.Dropout(dropout)
        self.out_dim = sizes[-1]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        wave = keep(x, mask).unsqueeze(1)
        mask = None if mask is None else mask[:, :: self.stride]
        for stage in self.stages:
            wave = stage(wave)
            if mask is not None:
                wave = wave * mask.astype(wave.dtype).unsqueeze(1)
                mask = mask[:, ::POOL]
            wave = self.pool(wave)  # no step is below 0, so the zeros at its end change no maximum
        steps = wave.transpose([0, 2, 1])
        return Encoded(self.dropout(masked_mean(steps, mask)), steps, mask)
