"""Sharpness-aware minimisation (Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving ...")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paddle

__all__ = ["climbed"]


@contextmanager
def climbed(parameters: Sequence[Any], buffers: Sequence[Any], rho: float) -> Iterator[None]:
    """Within, the weights are w + rho g / |g| (equation 2 with p = 2), g being their gradients, which are then cleared.

    Afterwards weights and buffers are what they were, bit by bit; so batch norms count a step's batches once. What has
    no gradient does not move.

    Args:
        parameters: all that is trained: |g| is the norm over all of them.
        buffers: what a forward pass changes.
        rho: length of the ascent, in the units of the weights.
    """
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    kept = [(tensor, tensor.detach().clone()) for tensor in (*moved, *buffers)]
    with paddle.no_grad():
        squares = [(parameter.grad.astype("float32") ** 2).sum() for parameter in moved]
        norm = float(paddle.add_n(squares).sqrt()) if squares else 0.0
        factor = rho / norm if norm > 0 else 0.0
        for parameter in moved:
            parameter.set_value(parameter + (parameter.grad * factor).astype(parameter.dtype))
            parameter.clear_gradient(False)
    try:
        yield
    finally:
        for tensor, value in kept:
            tensor.set_value(value)
