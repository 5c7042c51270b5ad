"""Late fusion: each field is encoded by itself, the embeddings are fused, a head answers."""

from __future__ import annotations

from paddle import nn

from ppmm.models.layers.masking import keep_rows
from ppmm.registry import MODELS
from ppmm.types import Batch, Encoder, Fusion, Head, Outputs

__all__ = ["LateFusion"]


@MODELS.register("late_fusion")
class LateFusion(nn.Layer):
    """Classification or regression on any number of fields, any of which a sample may lack.

    What stands in the batch for an absent field never reaches the result: it is replaced by zeros before its encoder
    (so that not even batch statistics see it) and its embedding is masked in the fusion.

    Args:
        encoders: one per field.
        fusion: joins the embeddings.
        head: embedding to logits.

    Inputs: ``F``, ``has_F`` and, where lengths vary, ``F_mask`` for each field F. Returns: ``logits`` [B,classes].
    """

    def __init__(self, encoders: dict[str, Encoder], fusion: Fusion, head: Head) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("encoders must name at least one field")
        self.fields = tuple(encoders)
        self.encoders = nn.LayerDict(encoders)
        self.fusion = fusion
        self.head = head

    def forward(self, batch: Batch) -> Outputs:
        embeds = {}
        present = {}
        for field, encoder in self.encoders.items():
            present[field] = batch[f"has_{field}"]
            value = keep_rows(batch[field], present[field])
            mask = batch.get(f"{field}_mask")
            if mask is not None:
                mask = mask.logical_and(present[field].unsqueeze(-1))
            embeds[field] = encoder(value, mask).pooled
        return {"logits": self.head(self.fusion(embeds, present))}
