"""BiLSTM with attention pooling over the words (Lin et al. 2017, "A Structured Self-attentive Sentence Embedding")."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.query_pooling import QueryPooling
from ppmm.models.layers.recurrent import Bidirectional
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["BiLSTMAttention"]


@ENCODERS.register("bilstm_attention")
class BiLSTMAttention(nn.Layer):
    """As ``bilstm``, but the words are pooled by learned queries, which keeps their order.

    Args:
        vocab_size: rows of the embedding; id 0 is padding.
        dim: size of the embedding and of a step, both directions together; even.
        embed_dim: size of a word embedding; ``dim`` when None.
        layers: stacked LSTM layers.
        queries: parts that the pooling looks at, see `QueryPooling`.
        dropout: on the embedded words and between layers.

    Inputs: x [B,L] int64, mask [B,L] bool or None. Returns: pooled [B,dim], tokens [B,L,dim], token_mask.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        embed_dim: int | None = None,
        layers: int = 1,
        queries: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = dim if embed_dim is None else embed_dim
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Bidirectional(nn.LSTM, width, dim, layers, dropout)
        self.pool = QueryPooling(dim, dim, queries)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        steps = self.recurrent(self.dropout(self.embedding(x)), mask)
        return Encoded(self.pool(steps, mask), steps, mask)
