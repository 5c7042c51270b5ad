"""Masks: what is padding or absent must not change a result, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import paddle
from paddle import Tensor

__all__ = ["choose", "keep", "keep_rows", "lengths_of", "masked_mean", "portable_operators"]

_PORTABLE: ContextVar[bool] = ContextVar("portable", default=False)


@contextmanager
def portable_operators() -> Iterator[None]:
    """Trace masks as operators that converters to ONNX know: what is masked must then be finite.

    So it is in a batch that ppmm makes. paddle2onnx 2.1.0 has nothing for ``masked_fill``, gives ``expand_as`` a shape
    of -1, and Paddle's ``where`` of unequal shapes becomes fifteen operators.
    """
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


def choose(mask: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """``x`` where ``mask`` is true, else ``other``; both are stretched to the shape of ``x`` [...]."""
    if _PORTABLE.get():
        return paddle.where(mask, x, other)
    mask.stop_gradient = True  # of truth values there is none, and ``expand_as`` of them insists
    return paddle.where(mask.expand_as(x), x, other.expand_as(x))


def keep(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x`` [B,T,...] with everything outside ``mask`` [B,T] set to zero (NaN too); ``x`` without a mask."""
    if mask is None:
        return x
    return _filled(x, mask.unsqueeze(list(range(2, x.ndim))) if x.ndim > 2 else mask)


def keep_rows(x: Tensor, present: Tensor) -> Tensor:
    """``x`` [B,...] with the rows where ``present`` [B] is False set to zero (NaN included)."""
    return _filled(x, present.reshape([-1] + [1] * (x.ndim - 1)))


def _filled(x: Tensor, mask: Tensor) -> Tensor:
    if _PORTABLE.get():
        return x * mask.astype(x.dtype)
    return paddle.masked_fill(x, paddle.logical_not(mask), 0.0)


def lengths_of(mask: Tensor) -> Tensor:
    """Number of true steps per row of ``mask`` [B,T], at least 1: [B] int64."""
    return paddle.clip(mask.astype("int64").sum(axis=1), min=1)


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of ``x`` [B,T,D] over the true steps of ``mask`` [B,T]: [B,D]; zeros where no step is true."""
    if mask is None:
        return x.mean(axis=1)
    weight = mask.astype(x.dtype).unsqueeze(-1)
    return (keep(x, mask) * weight).sum(axis=1) / paddle.clip(weight.sum(axis=1), min=1.0)
