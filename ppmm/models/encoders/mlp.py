"""Multi-layer perceptron over a vector of numbers, any of which may be missing."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.missing_values import MissingValues
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["MLPEncoder"]


@ENCODERS.register("mlp")
class MLPEncoder(nn.Layer):
    """Two linear layers with ReLU.

    Args:
        in_features: size of the vector.
        dim: size of the embedding.
        hidden: size between; ``dim`` when None.
        dropout: after the first layer.
        missing: numbers may be NaN (the field says so): each gets a learned value and an indicator.

    Inputs: x [B,in_features]. Returns: pooled [B,dim].
    """

    def __init__(
        self,
        in_features: int,
        dim: int = 64,
        hidden: int | None = None,
        dropout: float = 0.0,
        missing: bool = False,
    ) -> None:
        super().__init__()
        width = dim if hidden is None else hidden
        self.missing = MissingValues(in_features) if missing else None
        seen = in_features if self.missing is None else self.missing.out_dim
        self.layers = nn.Sequential(
            nn.Linear(seen, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, dim), nn.ReLU()
        )
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        return Encoded(self.layers(x if self.missing is None else self.missing(x)))
