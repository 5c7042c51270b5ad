"""Heads of one linear layer, or of two."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.registry import HEADS

__all__ = ["LinearHead", "MLPHead"]


@HEADS.register("linear")
class LinearHead(nn.Layer):
    """Dropout and a linear layer.

    Inputs: embed [B,in_dim]. Returns: logits [B,classes].
    """

    def __init__(self, in_dim: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(in_dim, classes))

    def forward(self, embed: Tensor) -> Tensor:
        return self.layers(embed)


@HEADS.register("mlp")
class MLPHead(nn.Layer):
    """Linear, ReLU, dropout, linear.

    Inputs: embed [B,in_dim]. Returns: logits [B,classes].
    """

    def __init__(self, in_dim: int, classes: int, hidden: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
        )

    def forward(self, embed: Tensor) -> Tensor:
        return self.layers(embed)
