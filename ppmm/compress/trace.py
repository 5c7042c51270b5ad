"""A model as a list of plain operations: what a static graph computes, without Paddle's own program objects."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import paddle
from paddle import Tensor, nn

from ppmm.errors import CompressError
from ppmm.models.resize import tensors_of

__all__ = ["Operation", "Program", "Sample", "flatten", "trace"]

Sample = Any
"""What a model is called with: a `Batch` or one Tensor, real values."""
Slot = int | list[int | None] | None
"""An operand: the number of a value, of several (a list of tensors), or none."""


@dataclass(frozen=True)
class Operation:
    """One operation: operands by name, results by number; ``scope`` are the classes of the layers around it."""

    name: str
    scope: str
    inputs: dict[str, Slot]
    outputs: list[int]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name} in {self.scope}" if self.scope else self.name


@dataclass
class Program:
    """Operations in the order of execution.

    ``shapes`` of each value (a list of them for a list of tensors), ``tensors`` the structured names of those that are
    parameters or buffers of the model, in its order, ``constants`` the numbers that are known, ``results`` what the
    model returns.
    """

    operations: list[Operation] = field(default_factory=list)
    shapes: dict[int, Any] = field(default_factory=dict)
    tensors: dict[int, str] = field(default_factory=dict)
    constants: dict[int, list[float]] = field(default_factory=dict)
    results: list[int] = field(default_factory=list)


def trace(model: nn.Layer, sample: Sample) -> Program:
    """What ``model`` computes of ``sample`` in evaluation, with the shapes that it has there.

    Raises CompressError when the model cannot be traced.
    """
    was_training = model.training
    model.eval()
    try:
        traced = _traced(_Plain(model), sample)
    except Exception:  # a condition on a Tensor: it needs Paddle's transformation of the source
        try:
            traced = _traced(_Flat(model), sample)
        except Exception as error:  # Paddle raises nearly any type here
            message = f"the model cannot be traced, so nothing is known about its channels: {error}"
            raise CompressError(message) from error
    finally:
        if was_training:
            model.train()
    own = tensors_of(model)
    program = _convert(traced, {tensor.name: name for name, tensor in reversed(own.items())})
    places = {name: number for number, name in enumerate(own)}
    program.tensors = dict(sorted(program.tensors.items(), key=lambda item: places[item[1]]))
    return program


def _traced(layer: nn.Layer, sample: Sample) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return paddle.jit.to_static(layer, input_spec=[_spec(sample)], full_graph=True).forward.concrete_program


class _Flat(nn.Layer):
    """A model whose results are a flat list of Tensors."""

    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, sample: Sample) -> list[Tensor]:
        return flatten(self.model(sample))


class _Plain(_Flat):
    """The same, run as it is: shapes are known here, so that nothing of it needs to be transformed, which is slow."""

    def forward(self, sample: Sample) -> list[Tensor]:
        return _run(self.model, sample)


def _run(model: nn.Layer, sample: Sample) -> list[Any]:
    return flatten(model(sample))


paddle.jit.not_to_static(_run)


def flatten(value: Any) -> list[Any]:
    """The Tensors of what a model returns, in order."""
    if isinstance(value, tuple | list):
        return [found for part in value for found in flatten(part)]
    if isinstance(value, Mapping):
        return [found for part in value.values() for found in flatten(part)]
    return [] if value is None else [value]


def _spec(sample: Sample) -> Any:
    from paddle.static import InputSpec

    if isinstance(sample, Mapping):
        return {key: InputSpec(value.shape, str(value.dtype)[7:], name=key) for key, value in sample.items()}
    return InputSpec(sample.shape, str(sample.dtype)[7:], name="x")


def _convert(traced: Any, names: Mapping[str, str]) -> Program:
    program = Program()
    lists: dict[int, list[int | None]] = {}
    for op in traced.main_program.global_block().ops:
        for value in op.results():
            program.shapes[_number(value)] = _shape(value)
        kind = op.name().removeprefix("pd_op.")
        operands = [op.operand_source(number) for number in range(op.num_operands())]
        sources = [_number(value) if value.initialized() else None for value in operands]
        if kind == "builtin.combine":
            lists[_number(op.results()[0])] = sources
            continue
        attributes = {key: value for key, value in op.attrs().items() if key not in ("op_callstack", "stop_gradient")}
        results = [_number(value) for value in op.results()]
        if kind == "builtin.parameter":
            name = names.get(attributes["parameter_name"])
            program.tensors.update({results[0]: name} if name is not None else {})
        elif kind in ("full", "full_int_array"):
            value = attributes["value"]
            if kind == "full_int_array" or program.shapes[results[0]] in ((), (1,)):
                program.constants[results[0]] = list(value) if isinstance(value, list) else [value]
        slots = [None if source is None else lists.get(source, source) for source in sources]
        captured = [number for number in _captured(op) if number in program.shapes]
        keys = _operand_names(op, len(slots))
        scope = re.sub(r"_\d+(?=/|$)", "", str(attributes.pop("struct_name", ""))).strip("/")
        inputs: dict[str, Slot] = dict(zip(keys, slots, strict=True))
        if captured:
            inputs["captured"] = list(captured)
        program.operations.append(Operation(kind, scope, inputs, results, attributes))
    program.results = [_number(value) for value in flatten(traced.outputs) if _number(value) in program.shapes]
    return program


def _captured(op: Any) -> list[int]:
    """Values that the branches of a condition or the body of a loop read."""
    inside = [inner for block in op.blocks() for inner in block.ops]
    own = [inner.operand_source(number) for inner in inside for number in range(inner.num_operands())]
    return [_number(value) for value in own if value.initialized()] + [
        found for inner in inside for found in _captured(inner)
    ]


def _operand_names(op: Any, count: int) -> list[str]:
    try:
        names = list(op.get_input_names())
    except ValueError:  # conditions, loops, lists: Paddle does not name what they take
        names = []
    return names if len(names) == count else [str(number) for number in range(count)]


def _shape(value: Any) -> Any:
    """The shape of a tensor; a list of them for a list of tensors; () for what has none."""
    if not value.initialized():
        return ()
    listed = value.type().as_vec_type()
    if listed is not None:
        return [tuple(part.shape) if hasattr(part, "shape") else () for part in listed.as_list()]
    return tuple(value.shape) if value.is_dense_tensor_type() else ()


def _number(value: Any) -> int:
    """What tells a value from all others of its program."""
    return int(value.id, 16)
