"""Convolutions over words (Kim 2014, "Convolutional Neural Networks for Sentence Classification")."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.masking import keep
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["TextCNN"]


@ENCODERS.register("text_cnn")
class TextCNN(nn.Layer):
    """c_i = relu(w . x_{i-l:i+r} + b) for windows of several widths around each word, then the maximum over the words.

    Beyond both ends of a text the words are zeros, so that a text may be shorter than the widest window.

    Args:
        vocab_size: rows of the embedding; id 0 is padding.
        embed_dim: size of a word embedding.
        channels: feature maps of each width.
        widths: words of a window.
        dropout: on the pooled embedding.

    Inputs: x [B,L] int64, mask [B,L] bool or None. Returns: pooled [B,D], tokens [B,L,D], token_mask, with
    D = channels * len(widths).
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int = 128,
        channels: int = 100,
        widths: list[int] | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        sizes = [3, 4, 5] if widths is None else widths
        if not sizes or min(sizes) < 1:
            raise ValueError(f"widths must name at least one width of a word or more, got {sizes}")
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=0)
        self.windows = nn.LayerList()
        for size in sizes:
            ends = nn.Pad1D([(size - 1) // 2, size // 2])
            self.windows.append(nn.Sequential(ends, nn.Conv1D(embed_dim, channels, size), nn.ReLU()))
        self.dropout = nn.Dropout(dropout)
        self.out_dim = channels * len(sizes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        words = keep(self.embedding(x), mask).transpose([0, 2, 1])
        maps = [window(words) for window in self.windows]
        steps = keep(paddle.concat(maps, axis=1).transpose([0, 2, 1]), mask)  # 0 is the least that relu gives
        return Encoded(self.dropout(steps.max(axis=1)), steps, mask)
