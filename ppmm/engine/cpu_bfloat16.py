"""Matrix products in bfloat16 on a CPU.

In Paddle 3.1.1 ``paddle.amp.auto_cast`` does nothing on a CPU, for bfloat16 as for float16, and says so in a warning
only; products, sums and norms of bfloat16 tensors raise there. The oneDNN kernels that its CPU package carries do
multiply bfloat16, forward and backward, and add up in float32: this module sends products with weights to them.
Everything else (convolutions, recurrent layers, attention, norms, softmax) stays in float32, as do the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paddle
from paddle import Tensor

__all__ = ["bfloat16_products"]

LOW = "bfloat16"


@contextmanager
def bfloat16_products() -> Iterator[None]:
    """Within it, linear layers and `paddle.matmul` with one matrix on the right multiply bfloat16.

    Their float32 factors are rounded to it, and the gradients of the factors are products of such numbers too. Products
    of many matrices with as many others, such as attention's, stay in float32: with 64 tokens they were two to three
    times slower in bfloat16, with 256 up to 1.6 times faster. So does ``a @ b`` of tensors, which Paddle resolves
    below Python.
    """
    kernels = paddle._C_ops
    plain = {name: getattr(kernels, name) for name in ("matmul", "linear")}
    kernels.matmul = _matmul(plain["matmul"])
    kernels.linear = _linear(plain["linear"])
    try:
        yield
    finally:
        for name, kernel in plain.items():
            setattr(kernels, name, kernel)


Kernel = Callable[..., Any]


def _matmul(plain: Kernel) -> Kernel:
    def matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False, **others: Any) -> Any:
        if others or not _fits(x, y) or (transpose_x and x.ndim > 2):
            return plain(x, y, transpose_x, transpose_y, **others)
        return _product(x, y, transpose_x, transpose_y)

    return matmul


def _linear(plain: Kernel) -> Kernel:
    def linear(x: Any, weight: Any, bias: Any = None) -> Any:
        if not _fits(x, weight):
            return plain(x, weight, bias)
        product = _product(x, weight)
        return product if bias is None else product + bias

    return linear


def _fits(x: Any, y: Any) -> bool:
    """Whether it is for oneDNN: float32, a matrix on the right, at least one row (its gradient of none is NaN).

    Values of a graph that is being traced are no tensors.
    """
    both = isinstance(x, Tensor) and isinstance(y, Tensor) and x.dtype == y.dtype == paddle.float32
    return both and x.ndim >= 2 and y.ndim == 2 and 0 not in (*x.shape, *y.shape)


def _product(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    rows = x if x.ndim == 2 else x.reshape([-1, x.shape[-1]])  # else oneDNN's gradient of y is five times slower
    # Only the older entry point takes the attribute that chooses oneDNN.
    low = paddle._legacy_C_ops.matmul_v2(
        *_both_learn(rows.astype(LOW), y.astype(LOW)), "trans_x", transpose_x, "trans_y", transpose_y,
        "use_mkldnn", True, "mkldnn_data_type", LOW,
    )  # fmt: skip
    full = low.astype("float32")
    return full if x.ndim == 2 else full.reshape([*x.shape[:-1], full.shape[-1]])


def _both_learn(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two new copies, both of which get a gradient where one does: oneDNN's kernel crashes when it is to leave one out.

    So do the inputs of a first layer and frozen weights; what their copies get goes nowhere.
    """
    if x.stop_gradient != y.stop_gradient:
        x.stop_gradient = y.stop_gradient = False
    return x, y
