"""Operations that have weights: convolutions, matrix products, embeddings, normalisations, recurrent layers."""

from __future__ import annotations

import math

import numpy as np

from ppmm.compress.interpreter import Cost, Dims, Interpreter, anchored, rule
from ppmm.compress.pointwise_rules import broadcast
from ppmm.compress.trace import Operation

__all__: list[str] = []

GATES = {"LSTM": 4, "GRU": 3}


@rule("conv2d", "conv3d", "depthwise_conv2d")
def convolution(operation: Operation, run: Interpreter) -> list[Dims]:
    """Filters [out,in/groups,...] make the channels and read those of the input.

    Of a grouped convolution only whole groups can go, with what they read and what they make; of a depthwise one a
    group is a channel.
    """
    x, weight = run.of(operation, "input"), run.of(operation, "filter")
    groups = int(operation.attributes["groups"])
    run.fix([*x[2:], *weight[2:]], f"it is a dimension of space in {operation}")
    if str(operation.attributes["data_format"])[1] != "C":
        run.fix([*x, *weight], f"{operation} has its channels last")
        return []
    why = f"it is an input of {operation}"
    if groups == 1:
        run.channels.unite(x[1], weight[1], why)
    else:
        run.channels.fix(weight[1], f"it is inside of a group of {operation}")
        read, made = x[1].reshape(groups, -1), weight[0].reshape(groups, -1)
        for column in [*read.T[1:], *made.T]:
            run.channels.unite(read[:, 0], column, why)
    run.produces(run.tensor(operation, "filter"), weight[0])
    shape = run.shape(operation)
    cost = math.prod(shape[2:]) * shape[0] * math.prod(len(labels) for labels in weight[2:])
    run.costs.append(Cost(run.tensor(operation, "filter") or str(operation), cost, (weight[0], weight[1])))
    return [[x[0], weight[0], *anchored(shape[2:])]]


@rule("conv2d_transpose", "conv3d_transpose")
def transposed_convolution(operation: Operation, run: Interpreter) -> list[Dims]:
    """As `convolution`, with filters [in,out,...]; of one with groups nothing can go."""
    x, weight = run.of(operation, "x"), run.of(operation, "filter")
    if int(operation.attributes["groups"]) != 1 or str(operation.attributes["data_format"])[1] != "C":
        run.fix([*x, *weight], f"{operation} has groups, or its channels last")
        return []
    run.fix([*x[2:], *weight[2:]], f"it is a dimension of space in {operation}")
    run.channels.unite(x[1], weight[0], f"it is an input of {operation}")
    run.produces(run.tensor(operation, "filter"), weight[1])
    shape = run.shape(operation)
    cost = x[0].size * math.prod(len(labels) for labels in [*x[2:], *weight[2:]])
    run.costs.append(Cost(run.tensor(operation, "filter") or str(operation), cost, (weight[0], weight[1])))
    return [[x[0], weight[1], *anchored(shape[2:])]]


@rule("matmul", "bmm")
def product(operation: Operation, run: Interpreter) -> list[Dims]:
    """Columns of the left meet rows of the right one; a weight makes what it keeps of its own."""
    x, y = run.of(operation, "x"), run.of(operation, "y")
    if len(x) < 2 or len(y) < 2:
        run.fix([*x, *y], f"{operation} takes a vector")
        return []
    flip_x, flip_y = (bool(operation.attributes.get(key)) for key in ("transpose_x", "transpose_y"))
    rows, left = (x[-1], x[-2]) if flip_x else (x[-2], x[-1])
    right, columns = (y[-1], y[-2]) if flip_y else (y[-2], y[-1])
    run.channels.unite(left, right, f"it is multiplied with numbers that are not channels in {operation}")
    run.produces(run.tensor(operation, "x"), rows)
    run.produces(run.tensor(operation, "y"), columns)
    result = [*broadcast(x[:-2], y[:-2], operation, run), rows, columns]
    place = run.tensor(operation, "y") or run.tensor(operation, "x") or str(operation)
    run.costs.append(Cost(place, 1, (*result, left)))
    return [result]


@rule("embedding")
def embedding(operation: Operation, run: Interpreter) -> list[Dims]:
    """Rows are looked up; their columns are channels."""
    weight = run.of(operation, "weight")
    run.channels.fix(weight[0], "it is a row of an embedding")
    run.produces(run.tensor(operation, "weight"), weight[1])
    return [[*run.of(operation, "x"), weight[1]]]


@rule("batch_norm", "batch_norm_", "instance_norm")
def channel_norm(operation: Operation, run: Interpreter) -> list[Dims]:
    """Every channel by itself, with its own mean, variance, scale and shift."""
    x = run.of(operation, "x")
    layout = str(operation.attributes.get("data_layout", "NCHW"))
    axis = 1 if layout[1] == "C" or len(x) == 2 else len(x) - 1
    for name in ("mean", "variance", "scale", "bias"):
        if isinstance(operation.inputs.get(name), int):
            run.channels.unite(x[axis], run.of(operation, name)[0], f"it is an input of {operation}")
    run.scales.add(run.tensor(operation, "scale") or "")
    return [x]


@rule("layer_norm")
def layer_norm(operation: Operation, run: Interpreter) -> list[Dims]:
    """The mean is taken over channels: without some of them it is another one, so that they stay unless allowed."""
    x = run.of(operation, "x")
    start = int(operation.attributes["begin_norm_axis"]) % len(x)
    weights = [run.of(operation, name)[0] for name in ("scale", "bias") if operation.inputs.get(name) is not None]
    scale = run.tensor(operation, "scale")
    if run.normalised and start == len(x) - 1 and scale is not None:
        for labels in weights:
            run.channels.unite(x[-1], labels, f"it is an input of {operation}")
        run.norms.add(scale)
    else:
        run.fix([*x[start:], *weights], f"{operation} takes its mean over it")
    return [x]


@rule("group_norm")
def group_norm(operation: Operation, run: Interpreter) -> list[Dims]:
    """As `layer_norm`, over groups of channels; they all stay."""
    x = run.of(operation, "x")
    weights = [run.of(operation, name)[0] for name in ("scale", "bias") if operation.inputs.get(name) is not None]
    run.fix([x[1], *weights], f"{operation} takes its mean over it")
    return [x]


@rule("prelu")
def prelu(operation: Operation, run: Interpreter) -> list[Dims]:
    """One slope, or one for each channel."""
    x, slope = run.of(operation, "x"), run.of(operation, "alpha")
    if len(slope) == 1 and slope[0].size > 1 and operation.attributes.get("mode") == "channel":
        run.channels.unite(x[1], slope[0], f"it is an input of {operation}")
    elif slope[0].size > 1:
        run.fix([*x, *slope], f"{operation} has a slope for each number")
    return [x]


@rule("pool2d", "pool3d", "bilinear_interp", "nearest_interp", "bicubic_interp", "linear_interp", "trilinear_interp")
def over_space(operation: Operation, run: Interpreter) -> list[Dims]:
    """Pixels change, channels stay where they are."""
    x = run.of(operation, "x")
    layout = str(operation.attributes.get("data_format") or operation.attributes.get("data_layout") or "NCHW")
    if layout[1] != "C":
        run.fix(x, f"{operation} has its channels last")
        return []
    run.fix(x[2:], f"it is a dimension of space in {operation}")
    return [[x[0], x[1], *anchored(run.shape(operation)[2:])]]


@rule("rnn")
def recurrent(operation: Operation, run: Interpreter) -> list[Dims]:
    """A hidden unit goes from all gates, from both matrices, from both directions and from all layers.

    Paddle knows one hidden size for all layers and directions, so that they must lose the same number of units.
    """
    x = run.of(operation, "x")
    numbers = [number for number in operation.inputs["weight_list"] or [] if number is not None]  # type: ignore[union-attr]
    weights = run.listed(operation, "weight_list")
    directions = 2 if operation.attributes["is_bidirec"] else 1
    cells = int(operation.attributes["num_layers"]) * directions
    gates = GATES.get(str(operation.attributes["mode"]), 1)
    hidden = weights[1][1]
    if len(weights) != 4 * cells or any(len(weights[2 * cell][0]) != gates * len(hidden) for cell in range(cells)):
        run.fix([*x, *(labels for dims in weights for labels in dims)], f"{operation} has projections or no biases")
        return []
    why = f"it is an input of {operation}"
    current = x[2]
    for cell in range(cells):
        inputs, states = weights[2 * cell], weights[2 * cell + 1]
        biases = [weights[2 * cells + 2 * cell + number][0] for number in range(2)]
        run.channels.unite(current, inputs[1], why)
        run.channels.unite(hidden, states[1], why)
        for rows in [inputs[0], states[0], *biases]:
            for gate in rows.reshape(gates, -1):
                run.channels.unite(hidden, gate, why)
        for number, dims in ((2 * cell, inputs), (2 * cell + 1, states)):
            name = run.views.get(numbers[number])
            run.produces(name, dims[0])
            run.costs.append(Cost(name or str(operation), x[0].size * x[1].size, (dims[0], dims[1])))
        if (cell + 1) % directions == 0:
            current = np.concatenate([hidden] * directions)
    starts = zip(operation.inputs["pre_state"] or [], run.listed(operation, "pre_state"), strict=True)  # type: ignore[arg-type]
    for start, state in starts:
        if start not in run.filled:
            run.channels.unite(hidden, state[2], f"{operation} starts from it")
    steps = [x[0], x[1], current]
    shapes = run.shape(operation, 2)
    return [steps, anchored(run.shape(operation, 1)), [[*anchored(shape[:2]), hidden] for shape in shapes]]
