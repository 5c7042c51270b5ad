"""Two or more towers into one space: each field is embedded by itself, so that any can be looked up by any other."""

from __future__ import annotations

import math

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.encoding import encode_fields
from ppmm.models.layers.masking import keep_rows
from ppmm.models.layers.pair_matching import PairMatching
from ppmm.registry import MODELS
from ppmm.types import Batch, Encoder, Outputs, Trunk

__all__ = ["OneTower", "TwoTower"]

EPSILON = 1e-12


@MODELS.register("two_tower")
class TwoTower(nn.Layer):
    """e_F = W_F x_F / |W_F x_F| for each field F, x_F being what its encoder makes of it (Radford et al. 2021, CLIP).

    A sample may lack any field; its embedding is then zeros, whatever stands in the batch, so that it is like nothing.

    Args:
        encoders: one per field, two or more.
        trunk: layers that the fields share, between encoders and projections.
        dim: size of the shared space.
        matching: pairs of fields for which a light head answers whether they go together (`PairMatching` of the
            embeddings times sqrt(dim)), to be trained by ``image_text_matching``.

    Inputs: ``F``, ``has_F`` and, where lengths vary, ``F_mask`` for each field F. Returns: ``F_embed`` [B,dim] of
    length 1 for each, and ``A_B_match`` [B,B] of each pair: the logit that row i's A and row j's B go together.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        *,
        trunk: Trunk | None = None,
        dim: int = 128,
        matching: list[list[str]] | None = None,
    ) -> None:
        super().__init__()
        if len(encoders) < 2:
            raise ValueError(f"encoders must name at least two fields, got {', '.join(encoders) or 'none'}")
        if getattr(trunk, "joint", False):
            raise ValueError("trunk: joint would let each embedding see the other fields of its row; set joint: false")
        self.fields = tuple(encoders)
        self.pairs = {f"{'_'.join(pair)}_match": tuple(pair) for pair in matching or []}
        for pair in self.pairs.values():
            if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(encoders):
                raise ValueError(f"matching: {list(pair)} is not two different fields of {', '.join(encoders)}")
        self.outputs = (*(f"{field}_embed" for field in encoders), *self.pairs)
        self.encoders = nn.LayerDict(encoders)
        self.trunk = trunk
        sizes = {field: part.out_dim for field, part in encoders.items()} if trunk is None else trunk.out_dims
        self.projections = nn.LayerDict({field: nn.Linear(sizes[field], dim, bias_attr=False) for field in self.fields})
        self.matching = nn.LayerDict({name: PairMatching(dim) for name in self.pairs})
        self.spread = math.sqrt(dim)

    def towers(self) -> dict[str, OneTower]:
        """The graphs beside the whole one, by field."""
        return {field: OneTower(self, field) for field in self.fields}

    def forward(self, batch: Batch) -> Outputs:
        encoded, present = encode_fields(self.encoders, self.trunk, batch)
        embeds = {
            field: keep_rows(_unit(project(encoded[field].pooled)), present[field])
            for field, project in self.projections.items()
        }
        outputs = {f"{field}_embed": embed for field, embed in embeds.items()}
        for name, match in self.matching.items():
            first, second = self.pairs[name]
            outputs[name] = match(embeds[first] * self.spread, embeds[second] * self.spread)
        return outputs


class OneTower(nn.Layer):
    """What a `TwoTower` makes of one field alone, over the same layers: the graph of a search service's queries.

    Args:
        whole: the model.
        field: one of its own.

    Inputs: those of the field. Returns: ``F_embed`` [B,dim].
    """

    def __init__(self, whole: TwoTower, field: str) -> None:
        super().__init__()
        self.fields = (field,)
        self.outputs = (f"{field}_embed",)
        self.encoders = nn.LayerDict({field: whole.encoders[field]})
        self.trunk = whole.trunk
        self.projections = nn.LayerDict({field: whole.projections[field]})

    def forward(self, batch: Batch) -> Outputs:
        (field,) = self.fields
        encoded, present = encode_fields(self.encoders, self.trunk, batch)
        return {f"{field}_embed": keep_rows(_unit(self.projections[field](encoded[field].pooled)), present[field])}


def _unit(x: Tensor) -> Tensor:
    """``x`` [B,D] brought to length 1; zeros stay zeros."""
    return x * paddle.rsqrt((x * x).sum(axis=-1, keepdim=True) + EPSILON)
