"""Two or more towers into one space: each field is embedded by itself, so that any can be looked up by any other."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.encoding import encode_fields
from ppmm.models.layers.masking import keep_rows
from ppmm.registry import MODELS
from ppmm.types import Batch, Encoder, Outputs, Trunk

__all__ = ["TwoTower"]

EPSILON = 1e-12


@MODELS.register("two_tower")
class TwoTower(nn.Layer):
    """e_F = W_F x_F / |W_F x_F| for each field F, x_F being what its encoder makes of it (Radford et al. 2021, CLIP).

    A sample may lack any field; its embedding is then zeros, whatever stands in the batch, so that it is like nothing.

    Args:
        encoders: one per field, two or more.
        trunk: layers that the fields share, between encoders and projections.
        dim: size of the shared space.

    Inputs: ``F``, ``has_F`` and, where lengths vary, ``F_mask`` for each field F. Returns: ``F_embed`` [B,dim] of
    length 1 for each.
    """

    def __init__(self, encoders: dict[str, Encoder], *, trunk: Trunk | None = None, dim: int = 128) -> None:
        super().__init__()
        if len(encoders) < 2:
            raise ValueError(f"encoders must name at least two fields, got {', '.join(encoders) or 'none'}")
        self.fields = tuple(encoders)
        self.outputs = tuple(f"{field}_embed" for field in encoders)
        self.encoders = nn.LayerDict(encoders)
        self.trunk = trunk
        sizes = {field: part.out_dim for field, part in encoders.items()} if trunk is None else trunk.out_dims
        self.projections = nn.LayerDict({field: nn.Linear(sizes[field], dim, bias_attr=False) for field in self.fields})

    def forward(self, batch: Batch) -> Outputs:
        encoded, present = encode_fields(self.encoders, self.trunk, batch)
        return {
            f"{field}_embed": keep_rows(_unit(project(encoded[field].pooled)), present[field])
            for field, project in self.projections.items()
        }


def _unit(x: Tensor) -> Tensor:
    """``x`` [B,D] brought to length 1; zeros stay zeros."""
    return x * paddle.rsqrt((x * x).sum(axis=-1, keepdim=True) + EPSILON)
