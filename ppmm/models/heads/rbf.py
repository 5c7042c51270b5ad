"""Radial-basis head: classes by distance to learned prototypes."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.models.layers.rbf import RBF
from ppmm.registry import HEADS

__all__ = ["RBFHead"]


@HEADS.register("rbf")
class RBFHead(nn.Layer):
    """Gaussian units over an embedding and a linear layer (LeCun et al. 1998 end LeNet-5 in such units).

    Args:
        in_dim: size of the embedding.
        classes: number of logits.
        centres: number of units; their centres come from the training data before the first step (`RBF.init_from`).

    Inputs: embed [B,in_dim]. Returns: logits [B,classes].
    """

    def __init__(self, in_dim: int, classes: int, centres: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(RBF(in_dim, centres), nn.Linear(centres, classes))

    def forward(self, embed: Tensor) -> Tensor:
        return self.layers(embed)
