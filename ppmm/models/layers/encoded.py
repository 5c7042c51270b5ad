"""What encoders return, ready for a fusion: absent fields and padding are zero, and a mask tells where."""

from __future__ import annotations

import paddle
from paddle import Tensor

from ppmm.models.layers.masking import keep, keep_rows
from ppmm.types import Encoded

__all__ = ["pooled_of", "token_mask_of", "tokens_of"]


def pooled_of(encoded: Encoded, present: Tensor) -> Tensor:
    """The embedding [B,D], zero where ``present`` [B] is False, whatever stood there."""
    return keep_rows(encoded.pooled, present)


def token_mask_of(encoded: Encoded) -> Tensor:
    """Which tokens of ``tokens`` [B,N,D] count: [B,N] bool, all of them where the encoder gave no mask."""
    if encoded.token_mask is not None:
        return encoded.token_mask
    assert encoded.tokens is not None
    return paddle.ones_like(encoded.tokens[:, :, 0]).astype("bool")


def tokens_of(encoded: Encoded, present: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [B,N,D] and their mask [B,N] bool; the embedding as the only token where an encoder gives none.

    Where the mask is False (padding, absent rows) the tokens are zero, whatever stood there.
    """
    flags = present.unsqueeze(-1)
    if encoded.tokens is None:
        return pooled_of(encoded, present).unsqueeze(1), flags
    mask = token_mask_of(encoded).logical_and(flags)
    return keep(encoded.tokens, mask), mask
