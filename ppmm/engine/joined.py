"""The outputs (or batches) of several chunks and processes as those of one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from ppmm.engine.distributed import Processes
from ppmm.errors import ConfigError
from ppmm.types import Batch

__all__ = ["Joined", "join", "rows_of"]

Form = tuple[list[int], str]
"""Shape and dtype of a tensor."""


def rows_of(batch: Batch) -> int:
    """Rows of a batch; 0 of the empty one that a process gets where there are fewer rows than processes."""
    return len(next(iter(batch.values()))) if batch else 0


class Joined(Mapping[str, Tensor]):
    """Tensors by name, each [B, ...] over all rows: chunk by chunk, in each the processes in the order of their ranks.

    A tensor is gathered when it is first asked for, so that what nobody reads is not moved; every process must ask for
    the same ones in the same order. Where the sizes of other axes differ (the longest text of each part), zeros are
    appended, as collation does.

    Args:
        chunks: tensors of this process; one may be empty.
        forms: of each chunk, of each process, by name.
        rows: of each chunk, of each process.
        leaves: floats are leaves of a graph, so that they get a gradient.
    """

    def __init__(
        self,
        chunks: Sequence[Mapping[str, Tensor]],
        forms: Sequence[Sequence[Mapping[str, Form]]],
        rows: Sequence[Sequence[int]],
        processes: Processes,
        leaves: bool = False,
    ) -> None:
        self.chunks, self.forms, self.rows, self.processes, self.leaves = chunks, forms, rows, processes, leaves
        self.made: dict[str, Tensor] = {}
        """What was asked for so far."""

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __iter__(self) -> Iterator[str]:
        return iter(next((form for forms in self.forms for form in forms if form), {}))

    def __contains__(self, name: object) -> bool:
        return any(name in form for forms in self.forms for form in forms)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self:
            raise KeyError(name)
        if name not in self.made:
            parts = [part for number in range(len(self.chunks)) for part in self._parts(number, name)]
            with paddle.no_grad():
                joined = _concatenated(parts)
            if self.leaves and joined.is_floating_point():
                joined.stop_gradient = False
            self.made[name] = joined
        return self.made[name]

    def gradients(self, chunk: int) -> dict[str, Tensor]:
        """The gradient of each tensor that was asked for, cut to the rows and sizes of this process's ``chunk``."""
        before = sum(sum(each) for each in self.rows[:chunk]) + sum(self.rows[chunk][: self.processes.rank])
        found = {}
        for name, tensor in self.made.items():
            if tensor.grad is None or name not in self.chunks[chunk]:
                continue
            shape = self.chunks[chunk][name].shape
            own = tensor.grad[before : before + shape[0]]
            found[name] = own[tuple(slice(0, size) for size in shape)]
        return found

    def _parts(self, chunk: int, name: str) -> list[Tensor]:
        forms = [form.get(name, ([0], "")) for form in self.forms[chunk]]
        dtype = next((dtype for _, dtype in forms if dtype), "")
        if not dtype:
            return []
        for (shape, _), rows in zip(forms, self.rows[chunk], strict=True):
            if rows and (not shape or shape[0] != rows):
                raise ConfigError(f"'{name}' is {shape} for {rows} rows: it cannot be one batch with that of others")
        own = self.chunks[chunk].get(name)
        found = self.processes.gather(own, [shape for shape, _ in forms], dtype)
        return [part.detach() for part in found if part is not None]


def join(
    outputs: Sequence[Sequence[Mapping[str, Tensor]]],
    batches: Sequence[Batch],
    processes: Processes,
    leaves: bool = False,
) -> tuple[list[Joined], Joined]:
    """Outputs of each pass and chunk, and the chunks' batches, as if all rows of all processes were one batch."""
    stacks = [batches, *outputs]
    own = [[{name: _form(tensor) for name, tensor in chunk.items()} for chunk in stack] for stack in stacks]
    found = processes.exchange([[rows_of(batch) for batch in batches], own])
    rows = [list(each) for each in zip(*(told[0] for told in found), strict=True)]
    joined = [
        Joined(
            stack, [[told[1][number][chunk] for told in found] for chunk in range(len(batches))], rows, processes,
            leaves and number > 0,
        )
        for number, stack in enumerate(stacks)
    ]  # fmt: skip
    return joined[1:], joined[0]


def _form(tensor: Any) -> Form:
    return list(tensor.shape), str(tensor.dtype).removeprefix("paddle.")


def _concatenated(parts: Sequence[Tensor]) -> Tensor:
    """Along the first axis, the others filled up with zeros to the largest size."""
    sizes = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].ndim)]
    return paddle.concat([_filled(part, sizes) for part in parts])


def _filled(part: Tensor, sizes: Sequence[int]) -> Tensor:
    missing = [wanted - have for wanted, have in zip(sizes, part.shape[1:], strict=True)]
    if not any(missing):
        return part
    dtype = part.dtype
    part = part.astype("int32") if dtype == paddle.bool else part
    around = [0, 0, *(side for more in missing for side in (0, more))]
    return F.pad(part, around, value=0, pad_from_left_axis=True).astype(dtype)
