"""Operations that work number by number, and those that reduce over a dimension."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ppmm.compress.channels import ANCHORED
from ppmm.compress.interpreter import Dims, Interpreter, anchored, rule
from ppmm.compress.trace import Operation

__all__ = ["broadcast"]


@rule(
    "abs", "assign", "bitwise_not", "cast", "ceil", "clip", "cos", "dropout", "elu", "erf", "exp", "expm1", "floor",
    "full_like", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "isfinite", "isinf", "isnan",
    "leaky_relu", "log", "log1p", "logical_not", "logit", "logsigmoid", "mish", "pow", "reciprocal", "relu", "relu6",
    "round", "rsqrt", "scale", "selu", "share_data_", "sigmoid", "sign", "silu", "sin", "softplus", "softshrink",
    "softsign", "sqrt", "square", "stanh", "swish", "tan", "tanh", "tanh_shrink", "thresholded_relu",
)  # fmt: skip
def unary(operation: Operation, run: Interpreter) -> list[Dims]:
    """Each number by itself: the channels stay where they are."""
    dims = run.dims[next(slot for slot in operation.inputs.values() if isinstance(slot, int))]
    return [dims] * (2 if operation.name == "dropout" else 1)


@rule(
    "add", "divide", "elementwise_pow", "equal", "floor_divide", "fmax", "fmin", "greater_equal", "greater_than",
    "less_equal", "less_than", "logical_and", "logical_or", "logical_xor", "masked_fill", "maximum", "minimum",
    "multiply", "not_equal", "remainder", "subtract", "where",
)  # fmt: skip
def elementwise(operation: Operation, run: Interpreter) -> list[Dims]:
    """Numbers that meet belong to one channel, after broadcasting from the right."""
    slots = [slot for slot in operation.inputs.values() if isinstance(slot, int)]
    return [reduce(lambda one, two: broadcast(one, two, operation, run), (run.dims[slot] for slot in slots))]


@rule("add_n")
def added(operation: Operation, run: Interpreter) -> list[Dims]:
    """As `elementwise`, for a list of tensors."""
    parts = run.listed(operation, next(iter(operation.inputs)))
    return [reduce(lambda one, two: broadcast(one, two, operation, run), parts)]


def broadcast(one: Dims, two: Dims, operation: Operation, run: Interpreter) -> Dims:
    """The channels of two operands that are aligned at their last dimension and stretched where they have size 1."""
    rank = max(len(one), len(two))
    stretched = [np.zeros(1, dtype=np.int64)]
    pairs = zip(stretched * (rank - len(one)) + one, stretched * (rank - len(two)) + two, strict=True)
    result: Dims = []
    for first, second in pairs:
        if len(first) == 1 or len(second) == 1:
            result.append(second if len(first) == 1 else first)
        else:
            why = f"it meets numbers that are not channels in {operation}"
            run.channels.unite(first, second, why)
            result.append(np.where(first == ANCHORED, second, first))
    return result


@rule("all", "any", "amax", "amin", "logsumexp", "max", "mean", "min", "prod", "sum")
def reduced(operation: Operation, run: Interpreter) -> list[Dims]:
    """What is reduced over must stay: a channel that is gone is not the same there as one that is zero."""
    dims = run.of(operation, "x")
    axes = run.constant(operation, "axis")
    gone = {axis % len(dims) for axis in axes} if axes else set(range(len(dims)))
    for axis in gone:
        run.channels.fix(dims[axis], f"{operation} reduces over it")
    if operation.attributes.get("keepdim"):
        return [[np.zeros(1, dtype=np.int64) if axis in gone else labels for axis, labels in enumerate(dims)]]
    return [[labels for axis, labels in enumerate(dims) if axis not in gone]]


@rule("cumsum", "log_softmax", "softmax")
def along_axis(operation: Operation, run: Interpreter) -> list[Dims]:
    """What is normalised or added up along must stay, as in `reduced`; the other dimensions are left alone."""
    dims = run.of(operation, "x")
    axes = run.constant(operation, "axis")
    axis = (axes[0] if axes else -1) % len(dims)
    run.channels.fix(dims[axis], f"{operation} works along it")
    return [dims]


@rule("full", "full_int_array", "data", "arange", "assign_value_", "gaussian", "uniform", "randint", "shape", "shape64")
def made(operation: Operation, run: Interpreter) -> list[Dims]:
    """Inputs, constants, random numbers, sizes: nothing of them can go."""
    return [anchored(run.shape(operation))]
