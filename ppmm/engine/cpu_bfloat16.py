"""Matrix products in bfloat16 on a CPU.

In Paddle 3.1.1 ``paddle.amp.auto_cast`` does nothing on a CPU, for bfloat16 as for float16, and says so in a warning
only; products, sums and norms of bfloat16 tensors raise there. The oneDNN kernels that its CPU package carries do
multiply bfloat16, forward and backward, and add up in float32: this module sends the products of a model to them.
Everything else (convolutions, recurrent layers, norms, softmax) stays in float32, as do the results.
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
    """Within it, `paddle.matmul`, `paddle.bmm` and linear layers round float32 factors to bfloat16 and multiply those.

    The gradients of the factors are products of bfloat16 numbers too. ``a @ b`` of tensors stays in float32, since
    Paddle resolves it below Python.
    """
    kernels = paddle._C_ops
    plain = {name: getattr(kernels, name) for name in ("matmul", "linear", "bmm")}
    kernels.matmul = _matmul(plain["matmul"])
    kernels.linear = _linear(plain["linear"])
    kernels.bmm = _bmm(plain["bmm"])
    try:
        yield
    finally:
        for name, kernel in plain.items():
            setattr(kernels, name, kernel)


Kernel = Callable[..., Any]


def _matmul(plain: Kernel) -> Kernel:
    def matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False, **others: Any) -> Any:
        if others or not _fits(x, y):
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


def _bmm(plain: Kernel) -> Kernel:
    def bmm(x: Any, y: Any) -> Any:
        return _product(x, y) if _fits(x, y) else plain(x, y)

    return bmm


def _fits(x: Any, y: Any) -> bool:
    """Whether oneDNN may multiply them: float32 of at least one row (its gradient of none is not a number)."""
    return all(
        isinstance(one, Tensor) and one.dtype == paddle.float32 and one.ndim > 0 and 0 not in one.shape
        for one in (x, y)
    )


def _product(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    # Only the older entry point takes the attribute that chooses oneDNN.
    low = paddle._legacy_C_ops.matmul_v2(
        x.astype(LOW), y.astype(LOW), "trans_x", transpose_x, "trans_y", transpose_y,
        "use_mkldnn", True, "mkldnn_data_type", LOW,
    )  # fmt: skip
    return low.astype("float32")
