"""A recurrent layer in both directions that does not see padding."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.masking import keep, lengths_of

__all__ = ["Bidirectional"]


class Bidirectional(nn.Layer):
    """LSTM or GRU over [B,T,D] in both directions; the backward one starts at each row's own last step.

    Args:
        cell: ``paddle.nn.LSTM`` or ``paddle.nn.GRU``.
        in_dim: size of an input step.
        dim: size of an output step, both directions together; even.
        layers: stacked layers.
        dropout: between stacked layers.

    Inputs: x [B,T,in_dim], mask [B,T] bool or None. Returns: [B,T,dim], zero at padding.
    """

    def __init__(self, cell: type[nn.Layer], in_dim: int, dim: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"dim must be even (half for each direction), got {dim}")
        self.rnn = cell(in_dim, dim // 2, num_layers=layers, direction="bidirect", dropout=dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        lengths = None if mask is None else lengths_of(mask)
        steps, _ = self.rnn(keep(x, mask), sequence_length=lengths)
        return keep(steps, mask)
