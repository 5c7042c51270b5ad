"""Abstract interpretation of a program: what channel stands at each index of each dimension of each value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppmm.compress.channels import ANSWER, Channels, Labels
from ppmm.compress.trace import Operation, Program

__all__ = ["RULES", "Cost", "Dims", "Interpreter", "anchored", "rule"]

Dims = list[Labels]
"""The channels of a value, dimension by dimension."""
Rule = Callable[[Operation, "Interpreter"], list[Any]]
"""Takes an operation, unites what belongs together, and returns the `Dims` of each result (or a list of them)."""
RULES: dict[str, Rule] = {}
"""By the name of an operation of Paddle's PIR dialect."""

VIEWS = {"assign", "cast", "reshape", "share_data_", "squeeze", "transpose", "unsqueeze"}
"""Operations whose result holds the numbers of the operand."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Decorator: the rule of these operations."""

    def add(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"operation '{name}' has two rules")
            RULES[name] = function
        return function

    return add


def anchored(shape: Any) -> Any:
    """Dimensions of which nothing can go; for a list of shapes a list."""
    if isinstance(shape, list) and all(isinstance(part, tuple) for part in shape):
        return [anchored(part) for part in shape]
    return [np.zeros(max(0, size), dtype=np.int64) for size in shape]


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one operation: ``constant`` times the number of channels in each of ``factors``."""

    place: str
    constant: int
    factors: tuple[Labels, ...]


class Interpreter:
    """Runs the rules over a program.

    Args:
        program: what is interpreted.
        normalised: whether channels over which a layer normalisation takes its mean may go.

    After `run`: ``tensors`` the channels of each parameter and buffer, ``dims`` those of each value, ``producers`` the
    dimensions (tensor, dimension) of weights that make a channel (as opposed to reading it), ``scales`` the factors of
    batch normalisations, ``norms`` those of layer normalisations whose axis may go, ``costs``, ``filled`` the values
    that are constants, ``unknown`` the operations without a rule and where they are.
    """

    def __init__(self, program: Program, normalised: bool = False) -> None:
        self.program = program
        self.normalised = normalised
        sizes = {name: program.shapes[number] for number, name in program.tensors.items()}
        self.channels = Channels(sum(sum(shape) for shape in sizes.values()))
        self.tensors = {name: [self.channels.fresh(size) for size in shape] for name, shape in sizes.items()}
        self.dims: dict[int, Any] = {}
        self.producers: set[tuple[str, int]] = set()
        self.costs: list[Cost] = []
        self.norms: set[str] = set()
        self.scales: set[str] = set()
        self.filled: set[int] = set()
        self.views = dict(program.tensors)
        self.unknown: dict[str, set[str]] = {}
        self.readers: dict[int, list[Operation]] = {}

    def run(self) -> None:
        """Interpret every operation once."""
        for operation in self.program.operations:
            for slot in operation.inputs.values():
                for number in slot if isinstance(slot, list) else [slot]:
                    if number is not None:
                        self.readers.setdefault(number, []).append(operation)
        for operation in self.program.operations:
            self._interpret(operation)
            if operation.name == "full":
                self.filled.add(operation.outputs[0])
            source = operation.inputs.get("x")
            if operation.name in VIEWS and isinstance(source, int) and source in self.views:
                self.views[operation.outputs[0]] = self.views[source]
        for number in self.program.results:
            for labels in self.dims[number]:
                self.channels.fix(labels, ANSWER)

    def of(self, operation: Operation, name: str) -> Dims:
        """The channels of an operand."""
        found: Dims = self.dims[operation.inputs[name]]  # type: ignore[index]
        return found

    def listed(self, operation: Operation, name: str) -> list[Dims]:
        """The channels of each tensor of an operand that is a list of them."""
        slot = operation.inputs[name]
        if isinstance(slot, int):
            return list(self.dims[slot])
        return [self.dims[number] for number in slot or [] if number is not None]

    def constant(self, operation: Operation, name: str) -> list[int] | None:
        """Whole numbers of an operand or an attribute, as a list; None where they are not known."""
        slot = operation.inputs.get(name)
        if isinstance(slot, int):
            found = self.program.constants.get(slot)
        elif isinstance(slot, list):
            parts = [self.program.constants.get(number) for number in slot if number is not None]
            found = None if None in parts else [part[0] for part in parts]  # type: ignore[index]
        else:
            value = operation.attributes.get(name)
            found = value if isinstance(value, list) else None if value is None else [value]
        return None if found is None else [int(number) for number in found]

    def tensor(self, operation: Operation, name: str) -> str | None:
        """The name of an operand that is a parameter or buffer, whatever its shape was changed to."""
        slot = operation.inputs.get(name)
        return self.views.get(slot) if isinstance(slot, int) else None

    def produces(self, tensor: str | None, labels: Labels) -> None:
        """Note that the dimension of a parameter that has these channels makes them."""
        for dimension, own in enumerate(self.tensors.get(tensor or "", [])):
            if np.array_equal(own, labels):
                self.producers.add((tensor or "", dimension))

    def shape(self, operation: Operation, result: int = 0) -> Any:
        """The shape of a result."""
        return self.program.shapes[operation.outputs[result]]

    def fix(self, dims: Dims, why: str) -> None:
        """All these channels must stay."""
        for labels in dims:
            self.channels.fix(labels, why)

    def _interpret(self, operation: Operation) -> None:
        if operation.name == "builtin.parameter":
            name = self.program.tensors.get(operation.outputs[0])
            self.dims[operation.outputs[0]] = anchored(self.shape(operation)) if name is None else self.tensors[name]
            return
        found = RULES[operation.name](operation, self) if operation.name in RULES else self._give_up(operation)
        for place, number in enumerate(operation.outputs):
            shape = self.program.shapes[number]
            dims = found[place] if place < len(found) else anchored(shape)
            if not isinstance(shape, list) and [len(labels) for labels in dims] != list(shape):
                self.fix(dims, f"{operation} gives another shape than expected")
                dims = anchored(shape)
            self.dims[number] = dims

    def _give_up(self, operation: Operation) -> list[Any]:
        """No rule: whatever goes in must stay."""
        self.unknown.setdefault(operation.name, set()).add(operation.scope)
        for name, slot in operation.inputs.items():
            if slot is not None:
                parts = self.listed(operation, name) if self._is_list(slot) else [self.of(operation, name)]
                for dims in parts:
                    self.fix(dims, f"nothing is known about the operation {operation}")
        return []

    def _is_list(self, slot: Any) -> bool:
        return isinstance(slot, list) or isinstance(self.program.shapes.get(slot), list)
