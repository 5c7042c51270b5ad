"""Conformer: attention for the whole clip, convolution for its details (Gulati et al. 2020)."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.audio_stages import AudioStages
from ppmm.models.layers.masking import keep, masked_mean
from ppmm.models.layers.sinusoidal_positions import SinusoidalPositions
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["Conformer", "ConformerBlock"]


class ConvolutionModule(nn.Layer):
    """Norm, pointwise convolution with GLU, depthwise convolution, batch norm, Swish, pointwise (figure 2).

    Args:
        dim: size of a step.
        kernel: steps of the depthwise convolution; odd.

    Inputs: x [B,T,dim], mask [B,T] bool or None. Returns: [B,T,dim].
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1D(dim, dim, kernel, padding=kernel // 2, groups=dim, bias_attr=False)
        self.batch_norm = nn.BatchNorm1D(dim)
        self.reduce = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        gated = keep(F.glu(self.expand(self.norm(x))), mask).transpose([0, 2, 1])
        steps = F.silu(self.batch_norm(self.depthwise(gated)))
        return self.reduce(steps.transpose([0, 2, 1]))


class HalfFeedForward(nn.Layer):
    """Norm, linear, Swish, linear (figure 4). Inputs and returns: [B,T,dim]."""

    def __init__(self, dim: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, ffn)
        self.reduce = nn.Linear(ffn, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(self.dropout(F.silu(self.expand(self.norm(x)))))


class ConformerBlock(nn.Layer):
    """x + FFN/2, + attention, + convolution, + FFN/2, then a norm (equation 1).

    Args:
        dim: size of a step; a multiple of ``heads``.
        heads: attention heads.
        kernel: steps of the depthwise convolution; odd.
        ffn: hidden size of the feed-forward parts.
        dropout: on attention weights and on what each part adds.

    Inputs: x [B,T,dim], mask [B,T] bool or None. Returns: [B,T,dim].
    """

    def __init__(self, dim: int, heads: int, kernel: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.before = HalfFeedForward(dim, ffn, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads, dropout)
        self.convolution = ConvolutionModule(dim, kernel)
        self.after = HalfFeedForward(dim, ffn, dropout)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + 0.5 * self.dropout(self.before(x))
        x = x + self.dropout(self.attention(self.attention_norm(x), None, mask))
        x = x + self.dropout(self.convolution(x, mask))
        return self.norm(x + 0.5 * self.dropout(self.after(x)))


@ENCODERS.register("conformer")
class Conformer(nn.Layer):
    """Strided convolutions shorten the clip, Conformer blocks read it, mean over time.

    Positions are sinusoids added once, not the relative ones of the paper: they need no table for the longest clip, and
    the convolutions see what is near anyway.

    Args:
        in_features: mel bands M.
        dim: size of a step and of the embedding; a multiple of ``heads``, even.
        layers: number of blocks.
        heads: attention heads.
        kernel: steps of the depthwise convolutions; odd.
        ffn: hidden size of the feed-forward parts; four times ``dim`` when None.
        channels: channels of the subsampling convolutions; each halves time and frequency.
        dropout: in every block and after the subsampling.

    Inputs: x [B,T,M], mask [B,T] bool or None. Returns: pooled [B,dim], tokens [B,T',dim], token_mask [B,T'] with
    T' = ceil(T / 2**len(channels)).
    """

    def __init__(
        self,
        in_features: int,
        dim: int = 144,
        layers: int = 2,
        heads: int = 4,
        kernel: int = 15,
        ffn: int | None = None,
        channels: list[int] | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stages = AudioStages(in_features, [32, 32] if channels is None else channels)
        self.project = nn.Linear(self.stages.out_dim, dim)
        self.positions = SinusoidalPositions(dim)
        self.dropout = nn.Dropout(dropout)
        hidden = 4 * dim if ffn is None else ffn
        self.blocks = nn.LayerList([ConformerBlock(dim, heads, kernel, hidden, dropout) for _ in range(layers)])
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid, mask = self.stages(x, mask)
        steps = self.dropout(self.positions(self.project(grid)))
        for block in self.blocks:
            steps = block(steps, mask)
        steps = keep(steps, mask)
        return Encoded(masked_mean(steps, mask), steps, mask)
