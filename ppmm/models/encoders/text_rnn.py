"""Recurrent text encoders: BiLSTM (Graves and Schmidhuber 2005) and BiGRU (Cho et al. 2014)."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.masking import masked_mean
from ppmm.models.layers.recurrent import Bidirectional
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["BiGRU", "BiLSTM"]


class TextRNN(nn.Layer):
    """Embedding, recurrent layers in both directions, mean over the words.

    Args:
        vocab_size: rows of the embedding; id 0 is padding.
        dim: size of an output step, both directions together; even.
        embed_dim: size of a word embedding; ``dim`` when None.
        layers: stacked layers.
        dropout: on the embedded words and between layers.
        embed_std: standard deviation of the word embeddings at first; None for Paddle's own initialisation, which is
            small for large vocabularies, so that texts of mostly the same words are slow to be told apart.

    Inputs: x [B,L] int64, mask [B,L] bool or None. Returns: pooled [B,dim], tokens [B,L,dim], token_mask.
    """

    cell: type[nn.Layer]

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        embed_dim: int | None = None,
        layers: int = 1,
        dropout: float = 0.0,
        embed_std: float | None = None,
    ) -> None:
        super().__init__()
        width = dim if embed_dim is None else embed_dim
        start = None if embed_std is None else nn.initializer.Normal(std=embed_std)
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=0, weight_attr=start)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Bidirectional(self.cell, width, dim, layers, dropout)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        steps = self.recurrent(self.dropout(self.embedding(x)), mask)
        return Encoded(masked_mean(steps, mask), steps, mask)


@ENCODERS.register("bilstm")
class BiLSTM(TextRNN):
    """Text encoder with LSTM cells; arguments as `TextRNN`."""

    cell = nn.LSTM


@ENCODERS.register("bigru")
class BiGRU(TextRNN):
    """Text encoder with GRU cells; arguments as `TextRNN`."""

    cell = nn.GRU
