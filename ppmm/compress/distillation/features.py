"""Hidden layers that are to be alike after a learned projection (Romero et al. 2015, FitNets, equation 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.compress.distillation.taps import Value, present_rows, row_mean
from ppmm.errors import CompressError
from ppmm.types import Batch, Encoded

__all__ = ["FeatureLoss", "same_size"]


class Compared(NamedTuple):
    """Two tensors of as many axes; ``mask`` [B,N] says which tokens count."""

    student: Tensor
    teacher: Tensor
    mask: Tensor | None = None


class FeatureLoss(nn.Layer):
    """L = mean over pairs of mean |r(s) - t|^2, s the student's layer, t the teacher's and r a learned projection.

    The mean is over the elements where FitNets has half the sum, so that pairs of any size weigh alike. r is linear for
    [B,D] and [B,N,D], a 1x1 convolution for [B,C,H,W]; maps of other sizes are averaged to the smaller one. Of an
    encoder its pooled embedding is compared, and its tokens where both read the same field and have as many of them.
    Rows that lack the field of an encoder do not count.

    Args:
        pairs: names of student's and teacher's layers.
        student: what these gave for a sample, by name.
        teacher: the same.

    Raises CompressError for pairs that cannot be compared.
    """

    def __init__(
        self, pairs: Sequence[tuple[str, str]], student: Mapping[str, Value], teacher: Mapping[str, Value]
    ) -> None:
        super().__init__()
        self.pairs = list(pairs)
        self.projectors = nn.LayerList()
        self.with_tokens = {names: _as_many_tokens(names, student, teacher) for names in self.pairs}
        for names in self.pairs:
            for compared in self._compared(names, student, teacher):
                self.projectors.append(_projector(compared.student, compared.teacher))

    def forward(self, student: Mapping[str, Value], teacher: Mapping[str, Value], batch: Batch) -> Tensor:
        losses: list[Tensor] = []
        for names in self.pairs:
            rows = present_rows(batch, names)
            for compared in self._compared(names, student, teacher):
                project = self.projectors[len(losses)]
                losses.append(row_mean(_errors(compared, project, names), rows))
        return paddle.stack(losses).mean()

    def _compared(
        self, names: tuple[str, str], student: Mapping[str, Value], teacher: Mapping[str, Value]
    ) -> list[Compared]:
        ours, theirs = student[names[0]], teacher[names[1]]
        if isinstance(ours, Encoded) and isinstance(theirs, Encoded):
            found = [Compared(ours.pooled, theirs.pooled)]
            if self.with_tokens[names]:
                masks = [mask for mask in (ours.token_mask, theirs.token_mask) if mask is not None]
                found.append(Compared(ours.tokens, theirs.tokens, _both(masks)))
            return found
        first, second = _plain(ours, theirs), _plain(theirs, ours)
        if first.ndim != second.ndim or first.ndim not in (2, 3, 4):
            raise CompressError(
                f"features: the student's '{names[0]}' gives {list(first.shape)} and the teacher's '{names[1]}' "
                f"{list(second.shape)}; pair layers that both give [B,D], [B,N,D] or [B,C,H,W]"
            )
        return [Compared(first, second)]


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps [B,C,H,W], both averaged to the smaller height and width."""
    size = [min(pair) for pair in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    return _averaged(student, size), _averaged(teacher, size)


def _averaged(x: Tensor, size: list[int]) -> Tensor:
    return x if list(x.shape[2:]) == size else F.adaptive_avg_pool2d(x, size)


def _as_many_tokens(names: tuple[str, str], student: Mapping[str, Value], teacher: Mapping[str, Value]) -> bool:
    """Whether two encoders read the same field and give as many tokens."""
    tokens = [getattr(value, "tokens", None) for value in (student[names[0]], teacher[names[1]])]
    same_field = names[0].split(".")[:2] == names[1].split(".")[:2]
    if not same_field or tokens[0] is None or tokens[1] is None:
        return False
    return int(tokens[0].shape[1]) == int(tokens[1].shape[1])


def _plain(value: Value, other: Value) -> Any:
    """Of an encoder's result that part which is like ``other``."""
    if not isinstance(value, Encoded):
        return value
    return value.tokens if getattr(other, "ndim", 2) == 3 and value.tokens is not None else value.pooled


def _both(masks: Sequence[Tensor]) -> Tensor | None:
    if not masks:
        return None
    return (masks[0] if len(masks) == 1 else paddle.logical_and(*masks)).astype("float32")


def _projector(student: Tensor, teacher: Tensor) -> nn.Layer:
    if student.ndim == 4:
        return nn.Conv2D(student.shape[1], teacher.shape[1], 1)
    return nn.Linear(student.shape[-1], teacher.shape[-1])


def _errors(compared: Compared, project: nn.Layer, names: tuple[str, str]) -> Tensor:
    """Mean squared error of each row [B]."""
    student, teacher, mask = compared
    if student.ndim == 4:
        student, teacher = same_size(student, teacher)
    elif student.ndim == 3 and student.shape[1] != teacher.shape[1]:
        raise CompressError(
            f"features: '{names[0]}' gives {student.shape[1]} tokens and the teacher's '{names[1]}' "
            f"{teacher.shape[1]}; pair layers with as many"
        )
    squares = (project(student) - teacher.detach()) ** 2
    if mask is None:
        return squares.flatten(1).mean(axis=1)
    return (squares.mean(axis=-1) * mask).sum(axis=1) / paddle.clip(mask.sum(axis=1), min=1.0)
