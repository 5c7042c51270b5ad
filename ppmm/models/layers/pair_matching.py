"""Whether two embeddings go together, for every combination of the rows of a batch."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

__all__ = ["PairMatching"]


class PairMatching(nn.Layer):
    """m_ij = w2 . relu(W1 [a_i * b_j, |a_i - b_j|] + c1) + c2 (features as in Tai et al. 2015, equation 15).

    It is light, so that all B x B combinations are answered, and traced with the batch dynamic.

    Args:
        dim: of both embeddings.
        hidden: units between.

    Inputs: first [B,dim], second [C,dim]. Returns: logits [B,C]; above 0 where they go together.
    """

    def __init__(self, dim: int, hidden: int = 128) -> None:
        super().__init__()
        self.product = nn.Linear(dim, hidden)
        self.distance = nn.Linear(dim, hidden, bias_attr=False)
        self.out = nn.Linear(hidden, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        rows, columns = first.unsqueeze(1), second.unsqueeze(0)
        hidden = self.product(rows * columns) + self.distance((rows - columns).abs())
        return self.out(F.relu(hidden)).squeeze(-1)
