"""A loss over all pairs of rows, block by block, so that the matrix of pairs never stands in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

__all__ = ["check_chunk", "in_blocks"]

Part = Callable[..., Tensor]


def check_chunk(chunk: int | None) -> int | None:
    """``chunk`` itself. Raises ValueError when it is no number of rows."""
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1 row, got {chunk}")
    return chunk


def in_blocks(part: Part, rows: int, chunk: int | None, *inputs: Tensor) -> Tensor:
    """The sum of ``part(start, stop, *inputs)``, a scalar, over blocks of ``chunk`` of the ``rows``.

    The gradient of each block is taken as soon as its value is known, and its graph is dropped: the result is that of
    one block of all rows, the memory that of one block and of the gradients of ``inputs`` (as the chunks of Zhai et al.
    2023, section 3.3).

    Args:
        part: differentiable in ``inputs``, and in nothing else.
        rows: how many.
        chunk: None takes all at once, in the ordinary way.
        inputs: floats; those that stop gradients get none.
    """
    if chunk is None or chunk >= rows:
        return part(0, rows, *inputs)
    if not paddle.is_grad_enabled() or all(tensor.stop_gradient for tensor in inputs):
        return sum(part(start, min(start + chunk, rows), *inputs) for start in range(0, rows, chunk))
    total: Tensor = _Blocks.apply(part, rows, chunk, *inputs)
    return total


class _Blocks(PyLayer):
    """Value and gradient in one go."""

    @staticmethod
    def forward(ctx: Any, part: Part, rows: int, chunk: int, *inputs: Tensor) -> Tensor:
        leaves = [tensor.detach() for tensor in inputs]
        for leaf, tensor in zip(leaves, inputs, strict=True):
            leaf.stop_gradient = tensor.stop_gradient
        total = paddle.zeros([], "float32")
        for start in range(0, rows, chunk):
            with paddle.enable_grad():
                value = part(start, min(start + chunk, rows), *leaves)
                value.backward()
            total = total + value.detach()
        gradients = [paddle.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        ctx.save_for_backward(*gradients)
        ctx.wanted = [not tensor.stop_gradient for tensor in inputs]
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = zip(ctx.saved_tensor(), ctx.wanted, strict=True)
        return tuple(gradient * upstream.astype(gradient.dtype) if wanted else None for gradient, wanted in gradients)
