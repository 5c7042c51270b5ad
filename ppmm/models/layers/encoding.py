"""What every model of several fields does first: encode each field that is there, and nothing of one that is not."""

from __future__ import annotations

from collections.abc import Mapping

from paddle import Tensor

from ppmm.models.layers.masking import keep_rows
from ppmm.types import Batch, Encoded, Encoder, Trunk

__all__ = ["encode_fields"]


def encode_fields(
    encoders: Mapping[str, Encoder], trunk: Trunk | None, batch: Batch
) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
    """What encoders and trunk make of each field, and which rows have it ({field: [B] bool}).

    What stands in the batch for an absent field is replaced by zeros before its encoder, so that not even batch
    statistics see it; what the encoder makes of these zeros is for the caller to leave out.
    """
    encoded = {}
    present = {}
    for field, encoder in encoders.items():
        present[field] = batch[f"has_{field}"]
        value = keep_rows(batch[field], present[field])
        mask = batch.get(f"{field}_mask")
        if mask is not None:
            mask = mask.logical_and(present[field].unsqueeze(-1))
        encoded[field] = encoder(value, mask)
    return (encoded if trunk is None else trunk(encoded, present)), present
