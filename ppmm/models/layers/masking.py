"""Masks: what is padding or absent must not change a result, whatever else is in the batch."""

from __future__ import annotations

import paddle
from paddle import Tensor

__all__ = ["choose", "keep", "keep_rows", "lengths_of", "masked_mean"]


def choose(mask: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """``x`` where ``mask`` is true, else ``other``; both are stretched to the shape of ``x`` [...]."""
    return paddle.where(_stretched(mask, x), x, other.expand_as(x))


def _stretched(mask: Tensor, x: Tensor) -> Tensor:
    """Paddle's ``where`` of unequal shapes becomes fifteen operators of an exported graph; of equal ones it is one."""
    mask.stop_gradient = True  # of truth values there is none, and ``expand_as`` of them insists
    return mask.expand_as(x)


def keep(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x`` [B,T,...] with everything outside ``mask`` [B,T] set to zero (NaN too); ``x`` without a mask."""
    if mask is None:
        return x
    wide = mask.unsqueeze(list(range(2, x.ndim))) if x.ndim > 2 else mask
    return paddle.where(_stretched(wide, x), x, paddle.zeros_like(x))


def keep_rows(x: Tensor, present: Tensor) -> Tensor:
    """``x`` [B,...] with the rows where ``present`` [B] is False set to zero (NaN included)."""
    wide = present.reshape([-1] + [1] * (x.ndim - 1))
    return paddle.where(_stretched(wide, x), x, paddle.zeros_like(x))


def lengths_of(mask: Tensor) -> Tensor:
    """Number of true steps per row of ``mask`` [B,T], at least 1: [B] int64."""
    return paddle.clip(mask.astype("int64").sum(axis=1), min=1)


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of ``x`` [B,T,D] over the true steps of ``mask`` [B,T]: [B,D]; zeros where no step is true."""
    if mask is None:
        return x.mean(axis=1)
    weight = mask.astype(x.dtype).unsqueeze(-1)
    return (keep(x, mask) * weight).sum(axis=1) / paddle.clip(weight.sum(axis=1), min=1.0)
