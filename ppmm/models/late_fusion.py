"""Late fusion: each field is encoded by itself, the embeddings are fused, a head answers."""

from __future__ import annotations

from collections.abc import Mapping

from paddle import Tensor, nn

from ppmm.models.layers.encoding import encode_fields
from ppmm.models.layers.imputation import Imputation
from ppmm.registry import MODELS
from ppmm.types import Batch, Encoded, Encoder, Fusion, Head, Outputs, Trunk

__all__ = ["LateFusion"]


@MODELS.register("late_fusion")
class LateFusion(nn.Layer):
    """Classification or regression on any number of fields, any of which a sample may lack.

    What stands in the batch for an absent field never reaches the result: it is replaced by zeros before its encoder
    (so that not even batch statistics see it) and its embedding is masked in the fusion.

    Args:
        encoders: one per field.
        trunk: layers that the fields share, between encoders and fusion.
        fusion: joins the embeddings.
        head: embedding to logits.
        impute: whether a learned embedding takes the place of an absent one; else the fusion leaves it out.

    Inputs: ``F``, ``has_F`` and, where lengths vary, ``F_mask`` for each field F. Returns: ``logits`` [B,classes].
    """

    outputs = ("logits",)

    def __init__(
        self,
        encoders: dict[str, Encoder],
        *,
        trunk: Trunk | None = None,
        fusion: Fusion,
        head: Head,
        impute: bool = False,
    ) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("encoders must name at least one field")
        self.fields = tuple(encoders)
        self.encoders = nn.LayerDict(encoders)
        self.trunk = trunk
        sizes = {field: part.out_dim for field, part in encoders.items()} if trunk is None else trunk.out_dims
        self.imputation = Imputation(sizes) if impute else None
        self.fusion = fusion
        self.head = head

    def forward(self, batch: Batch) -> Outputs:
        encoded, present = self.encode(batch)
        return {"logits": self.answer(encoded, present)}

    def encode(self, batch: Batch) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
        """What encoders and trunk make of each field, and which rows have it."""
        return encode_fields(self.encoders, self.trunk, batch)

    def answer(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """Logits [B,classes] from the fields that are ``present``."""
        if self.imputation is not None:
            encoded, present = self.imputation(encoded, present)
        return self.head(self.fusion(encoded, present))
