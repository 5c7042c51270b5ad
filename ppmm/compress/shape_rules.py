"""Operations that move numbers: transposing, joining, cutting, and reshaping."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from ppmm.compress.channels import ANCHORED, Labels
from ppmm.compress.interpreter import Dims, Interpreter, anchored, rule
from ppmm.compress.trace import Operation

__all__: list[str] = []

SPLITS = {"MultiHeadAttention": 0, "LowRankFusion": 1, "InvertedResidual": 1, "InvertedResidualDS": 1}
"""By the class of the layer: which of the dimensions that it cuts one into can lose channels, since it is a size that
`layer_attributes` can change, or that the layer reads from the shape. Of attention these are whole heads, of
ShuffleNet's blocks the channels within a group."""


@rule("transpose")
def transpose(operation: Operation, run: Interpreter) -> list[Dims]:
    """Dimensions change places."""
    x = run.of(operation, "x")
    return [[x[axis] for axis in operation.attributes["perm"]]]


@rule("reshape", "flatten", "squeeze", "unsqueeze")
def reshape(operation: Operation, run: Interpreter) -> list[Dims]:
    """Neighbouring dimensions are merged or split; see `_merge` and `_split`."""
    x, shape = run.of(operation, "x"), list(run.shape(operation))
    if 0 in shape:
        return []
    result: Dims = []
    sizes = [len(labels) for labels in x]
    start = end = 0
    while start < len(sizes) or end < len(shape):
        if start < len(sizes) and sizes[start] == 1 and (end == len(shape) or shape[end] != 1):
            start += 1
        elif end < len(shape) and shape[end] == 1 and (start == len(sizes) or sizes[start] != 1):
            result.append(np.zeros(1, dtype=np.int64))
            end += 1
        else:
            first, last = start + 1, end + 1
            while np.prod(sizes[start:first]) != np.prod(shape[end:last]):
                if np.prod(sizes[start:first]) < np.prod(shape[end:last]):
                    first += 1
                else:
                    last += 1
            result += _split(_merge(x[start:first], operation, run), shape[end:last], operation, run)
            start, end = first, last
    return [result]


def _merge(dims: Dims, operation: Operation, run: Interpreter) -> Labels:
    """The channels of the numbers of several dimensions in a row.

    Only one of them can lose channels: the largest one that could, such as the channels of [C,H,W].
    """
    if len(dims) == 1:
        return dims[0]
    free = [place for place, labels in enumerate(dims) if not run.channels.is_fixed(labels).all()]
    keep = max(free, key=lambda place: len(dims[place]), default=0)
    for place in free:
        if place != keep:
            run.channels.fix(dims[place], f"{operation} joins it with another dimension")
    grid = np.indices([len(labels) for labels in dims])[keep]
    return dims[keep][grid].reshape(-1)


def _split(labels: Labels, shape: list[int], operation: Operation, run: Interpreter) -> Dims:
    """The channels of one dimension that is cut into several.

    Where they were merged before, they are taken apart again; else one of the new dimensions keeps them if the layer
    is known to cope (`SPLITS`), so that all numbers at one of its places go together.
    """
    if len(shape) == 1:
        return [labels]
    result = [np.full(size, ANCHORED, dtype=np.int64) for size in shape]
    if run.channels.is_fixed(labels).all():
        return result
    grid = run.channels.roots(labels).reshape(shape)
    for place, size in enumerate(shape):
        rows = np.moveaxis(grid, place, 0).reshape(size, -1)
        if (rows == rows[:, :1]).all():
            result[place] = rows[:, 0]
            return result
    layer = operation.scope.rpartition("/")[2]
    if layer not in SPLITS or SPLITS[layer] >= len(shape):
        run.channels.fix(labels, f"{operation} cuts it into {' x '.join(map(str, shape))} by numbers that may be fixed")
        return result
    place = SPLITS[layer]
    columns = np.moveaxis(grid, place, 0).reshape(shape[place], -1).T
    for one, two in pairwise(columns):
        run.channels.unite(one, two, f"{operation} cuts it")
    result[place] = columns[0]
    return result


@rule("concat")
def concat(operation: Operation, run: Interpreter) -> list[Dims]:
    """Side by side along one dimension; the others meet."""
    parts = run.listed(operation, next(iter(operation.inputs)))
    axes = run.constant(operation, "axis")
    if axes is None:
        run.fix([labels for dims in parts for labels in dims], f"{operation} has an axis that is not known")
        return []
    axis = axes[0] % len(parts[0])
    result = _meet([dims[:axis] + dims[axis + 1 :] for dims in parts], operation, run)
    return [[*result[:axis], np.concatenate([dims[axis] for dims in parts]), *result[axis:]]]


@rule("stack")
def stack(operation: Operation, run: Interpreter) -> list[Dims]:
    """On top of one another along a new dimension; the others meet."""
    parts = run.listed(operation, next(iter(operation.inputs)))
    result = _meet(parts, operation, run)
    axis = int(operation.attributes["axis"]) % (len(result) + 1)
    return [[*result[:axis], *anchored([len(parts)]), *result[axis:]]]


def _meet(parts: list[Dims], operation: Operation, run: Interpreter) -> Dims:
    """The channels of tensors of one shape, which are united."""

    def both(one: Dims, two: Dims) -> Dims:
        for first, second in zip(one, two, strict=True):
            run.channels.unite(first, second, f"it meets numbers that are not channels in {operation}")
        return [np.where(first == ANCHORED, second, first) for first, second in zip(one, two, strict=True)]

    return reduce(both, parts)


@rule("split", "split_with_num")
def split(operation: Operation, run: Interpreter) -> list[Any]:
    """Equal parts lose the same channels, so that they stay equal; of other parts nothing can go."""
    x = run.of(operation, "x")
    axes = run.constant(operation, "axis")
    shapes = run.shape(operation)
    if axes is None:
        run.fix(x, f"{operation} has an axis that is not known")
        return []
    axis = axes[0] % len(x)
    sizes = [shape[axis] for shape in shapes]
    parts = np.split(x[axis], np.cumsum(sizes)[:-1])
    for one, two in pairwise(parts):
        if len(one) == len(two):
            run.channels.unite(one, two, f"{operation} cuts it into equal parts")
    if len(set(sizes)) > 1:
        run.channels.fix(x[axis], f"{operation} cuts it into parts of {sizes}")
    return [[[*x[:axis], part, *x[axis + 1 :]] for part in parts]]


@rule("builtin.split")
def unpack(operation: Operation, run: Interpreter) -> list[Dims]:
    """A list of tensors becomes single ones."""
    return run.listed(operation, next(iter(operation.inputs)))


@rule("slice", "strided_slice")
def cut(operation: Operation, run: Interpreter) -> list[Dims]:
    """A part of some dimensions; a channel at a stated place cannot go, except where only the shape is used."""
    x = run.of(operation, next(iter(operation.inputs)))
    shape, dropped = list(run.shape(operation)), operation.attributes.get("decrease_axis") or []
    axes = [int(axis) for axis in operation.attributes["axes"]]
    readers = run.readers.get(operation.outputs[0], [])
    only_shape = bool(readers) and all(reader.name in ("full_like", "shape", "shape64") for reader in readers)
    result = []
    for axis, labels in enumerate(x):
        size = 1 if axis in dropped else shape.pop(0)
        if axis not in axes or size == len(labels):
            part = labels
        else:
            part = np.full(size, ANCHORED, dtype=np.int64)
            if not only_shape:
                run.channels.fix(labels, f"{operation} takes what stands at some place of it")
        if axis not in dropped:
            result.append(part)
    return [result]


@rule("expand", "expand_as", "tile")
def expand(operation: Operation, run: Interpreter) -> list[Dims]:
    """Stretched from size 1 to that of another tensor, or to a number that cannot be changed."""
    x, shape = run.of(operation, "x"), run.shape(operation)
    like = run.of(operation, "y") if isinstance(operation.inputs.get("y"), int) else anchored(shape)
    x = [np.zeros(1, dtype=np.int64)] * (len(shape) - len(x)) + x
    result = []
    for labels, other, size in zip(x, like, shape, strict=True):
        if len(labels) != size and len(labels) != 1:
            run.channels.fix(labels, f"{operation} repeats it")
        result.append(
            labels if len(labels) == size and size != 1 else other if len(other) == size else anchored([size])[0]
        )
    return [result]


@rule("gather", "index_select")
def gather(operation: Operation, run: Interpreter) -> list[Dims]:
    """Entries at stated places of one dimension, which must stay; the others are left alone."""
    x, index = run.of(operation, "x"), run.of(operation, "index")
    axis = (run.constant(operation, "axis") or [0])[0] % len(x)
    run.channels.fix(x[axis], f"{operation} takes what stands at some places of it")
    return [[*x[:axis], *(anchored([len(labels)])[0] for labels in index), *x[axis + 1 :]]]


@rule("pad", "pad3d")
def pad(operation: Operation, run: Interpreter) -> list[Dims]:
    """Dimensions that grow must stay; the others are left alone."""
    x, shape = run.of(operation, "x"), run.shape(operation)
    result = []
    for labels, size in zip(x, shape, strict=True):
        if len(labels) != size:
            run.channels.fix(labels, f"{operation} adds to it")
        result.append(labels if len(labels) == size else anchored([size])[0])
    return [result]


@rule("flip", "roll")
def moved(operation: Operation, run: Interpreter) -> list[Dims]:
    """What is moved must stay."""
    x = run.of(operation, "x")
    for axis in run.constant(operation, "axis") or range(len(x)):
        run.channels.fix(x[axis], f"{operation} moves it")
    return [x]
