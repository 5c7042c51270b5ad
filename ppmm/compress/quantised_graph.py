"""Reading and mending programs of the old IR: which operators have weights, which of them are quantised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Layer", "drop_call_stacks", "equal_scales_of_square_weights", "weighted_layers"]

FILTERS = {"conv2d": "Filter", "depthwise_conv2d": "Filter", "mul": "Y", "matmul_v2": "Y"}
"""Operator -> the input that is its weight."""
ACTIVATIONS = {"conv2d": "Input", "depthwise_conv2d": "Input", "mul": "X", "matmul_v2": "X"}
"""Operator -> the input that is its activation."""
INT8_MAX = 127.0


class Layer(NamedTuple):
    """An operator with a weight: its type, the variable of the weight, and itself."""

    operator: str
    weight: str
    op: Any

    @property
    def activation(self) -> str:
        """The variable that it reads."""
        return str(self.op.input(ACTIVATIONS[self.operator])[0])


def weighted_layers(program: Any, operators: Sequence[str], quantised: bool = False) -> list[Layer]:
    """The operators of these types whose weight is a parameter.

    Args:
        quantised: those instead that read it through dequantize_linear.
    """
    block = program.global_block()
    produced = {name: op for op in block.ops for name in op.output_arg_names}
    found = []
    for op in block.ops:
        if op.type not in operators:
            continue
        weight = op.input(FILTERS[op.type])[0]
        maker = produced.get(weight)
        if quantised:
            if maker is None or maker.type != "dequantize_linear":
                continue
            weight = maker.input("X")[0]
        if block.has_var(weight) and block.var(weight).persistable and (quantised or maker is None):
            found.append(Layer(op.type, weight, op))
    return found


def equal_scales_of_square_weights(program: Any, scope: Any, fp32_weights: Mapping[str, np.ndarray]) -> set[str]:
    """Give square Linear weights one scale for all channels; returns which.

    oneDNN's quant_dequant pass (Paddle 3.1.1) tells the axis of the scales by their number; of a square [in,out] matrix
    it takes the first, and the result is wrong. With equal scales either axis is right.
    """
    block = program.global_block()
    produced = {name: op for op in block.ops for name in op.output_arg_names}
    mended = set()
    for layer in weighted_layers(program, ("mul", "matmul_v2"), quantised=True):
        maker = produced[layer.op.input(FILTERS[layer.operator])[0]]
        scales = scope.find_var(maker.input("Scale")[0]).get_tensor()
        weight = fp32_weights.get(layer.weight)
        sizes = np.array(scales)
        if weight is None or sizes.size < 2 or weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
            continue
        largest = np.abs(weight).max() or 1.0
        levels = np.clip(np.round(weight / largest * INT8_MAX), -INT8_MAX, INT8_MAX)
        tensor = scope.find_var(layer.weight).get_tensor()
        place = program_place()
        tensor.set(levels.astype(np.array(tensor).dtype), place)
        scales.set(np.full_like(sizes, largest), place)
        mended.add(layer.weight)
    return mended


def program_place() -> Any:
    """Where the worker computes."""
    import paddle

    return paddle.CPUPlace()


def drop_call_stacks(program: Any) -> None:
    """Forget the lines of Python that made each operator: most of the file, and paths of the machine that wrote it."""
    for block in program.blocks:
        for op in block.ops:
            if op.has_attr("op_callstack"):
                op._remove_attr("op_callstack")
