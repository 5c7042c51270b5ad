"""Mean of word embeddings (Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods")."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.masking import keep, masked_mean
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["EmbeddingBag"]


@ENCODERS.register("embedding_bag")
class EmbeddingBag(nn.Layer):
    """Word order is not seen; the fastest text encoder and a baseline for the others.

    Args:
        vocab_size: rows of the embedding; id 0 is padding.
        dim: size of the embedding.
        dropout: on the embedded words.

    Inputs: x [B,L] int64, mask [B,L] bool or None. Returns: pooled [B,dim], tokens [B,L,dim], token_mask.
    """

    def __init__(self, vocab_size: int, dim: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        words = keep(self.dropout(self.embedding(x)), mask)
        return Encoded(masked_mean(words, mask), words, mask)
