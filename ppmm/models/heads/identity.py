"""No head: for fusions that answer by themselves."""

from __future__ import annotations

from paddle import Tensor, nn

from ppmm.registry import HEADS

__all__ = ["IdentityHead"]


@HEADS.register("identity")
class IdentityHead(nn.Layer):
    """Passes on the result of a fusion that is one number per class already, such as ``decision``.

    Inputs: embed [B,classes]. Returns: the same as logits.
    """

    def __init__(self, in_dim: int, classes: int) -> None:
        super().__init__()
        if in_dim != classes:
            raise ValueError(f"the fusion gives {in_dim} numbers for {classes} classes; take the head 'linear'")

    def forward(self, embed: Tensor) -> Tensor:
        return embed
