"""Convolutions, a BiLSTM and attention pooling over log-mel features: for speech whose order matters."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.audio_stages import AudioStages
from ppmm.models.layers.query_pooling import QueryPooling
from ppmm.models.layers.recurrent import Bidirectional
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["CNNBiLSTMAttention"]


@ENCODERS.register("cnn_bilstm_attention")
class CNNBiLSTMAttention(nn.Layer):
    """As ``cnn_bilstm`` (Sainath et al. 2015), but the steps are pooled by learned queries (Lin et al. 2017).

    Args:
        in_features: mel bands M.
        dim: size of the embedding and of a step, both directions together; even.
        channels: channels of each stage; each halves time and frequency.
        layers: stacked LSTM layers.
        queries: parts that the pooling looks at, see `QueryPooling`.
        dropout: before and between the LSTM layers.

    Inputs: x [B,T,M], mask [B,T] bool or None. Returns: pooled [B,dim], tokens [B,T',dim], token_mask [B,T'].
    """

    def __init__(
        self,
        in_features: int,
        dim: int = 128,
        channels: list[int] | None = None,
        layers: int = 1,
        queries: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stages = AudioStages(in_features, [16, 32] if channels is None else channels)
        self.project = nn.Linear(self.stages.out_dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Bidirectional(nn.LSTM, dim, dim, layers, dropout)
        self.pool = QueryPooling(dim, dim, queries)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid, mask = self.stages(x, mask)
        steps = self.recurrent(self.dropout(F.relu(self.project(grid))), mask)
        return Encoded(self.pool(steps, mask), steps, mask)
