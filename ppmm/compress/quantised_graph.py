"""Reading and mending programs of the old IR: which operators have weights, which of them are quantised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Layer", "drop_call_stacks", "weighted_layers"]

FILTERS = {"conv2d": "Filter", "depthwise_conv2d": "Filter", "mul": "Y", "matmul_v2": "Y"}
"""Operator -> the input that is its weight."""
ACTIVATIONS = {"conv2d": "Input", "depthwise_conv2d": "Input", "mul": "X", "matmul_v2": "X"}
"""Operator -> the input that is its activation."""


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


def drop_call_stacks(program: Any) -> None:
    """Forget the lines of Python that made each operator: most of the file, and paths of the machine that wrote it."""
    for block in program.blocks:
        for op in block.ops:
            if op.has_attr("op_callstack"):
                op._remove_attr("op_callstack")
