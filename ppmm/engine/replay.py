"""One optimizer step, looked at closely: where its numbers stop being finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle

from ppmm.engine.step import TrainStep, terms_of
from ppmm.engine.weights import trained_parameters
from ppmm.errors import PpmmError
from ppmm.types import Batch, Outputs

__all__ = ["LayerRange", "Replay", "RowReading", "replay_step"]


class LayerRange(NamedTuple):
    """What a layer gave in the step: least and greatest finite value (NaN without any), how many were NaN or infinite,
    and how many there were."""

    name: str
    kind: str
    low: float
    high: float
    nan: int
    infinite: int
    size: int

    @property
    def finite(self) -> bool:
        return not self.nan and not self.infinite


class RowReading(NamedTuple):
    """One row of the step: how many values of each input and output were not finite, the first layer whose output for
    it was not, and its loss taken alone.

    ``loss`` is None where rows have no loss of their own, as in contrastive objectives.
    """

    row: int
    inputs: dict[str, int]
    layer: str | None
    outputs: dict[str, int]
    loss: float | None

    @property
    def suspicious(self) -> bool:
        """Whether what came of the row is not finite; an input alone may be, where numbers may be missing."""
        return bool(self.layer or self.outputs or (self.loss is not None and not np.isfinite(self.loss)))


class Replay(NamedTuple):
    """``weights``: parameters that were not finite before the step; ``layers`` in the order of their calls;
    ``gradients``: norm by parameter, not finite where the gradient is not; none where the loss is not finite."""

    terms: dict[str, float]
    weights: list[str]
    layers: list[LayerRange]
    rows: list[RowReading]
    gradients: dict[str, float]

    @property
    def finite(self) -> bool:
        """Whether neither the loss nor a gradient is NaN or infinite."""
        return bool(np.isfinite([self.terms["loss"], *self.gradients.values()]).all())


def replay_step(step: TrainStep, batches: Sequence[Batch], number: int) -> Replay:
    """Forward and backward of optimizer step ``number`` over ``batches``, without the update.

    What is random in it (dropout) is drawn as in the run.
    """
    parameters = trained_parameters(step.model, step.objective)
    weights = [name for name, tensor in parameters if not np.isfinite(_array(tensor)).all()]
    watch = _Watch(batches)
    step.model.train()
    if isinstance(step.objective, paddle.nn.Layer):
        step.objective.train()
    handles = watch.handles(step.model)
    try:
        terms = step.gradients(batches, number)
    finally:
        for handle in handles:
            handle.remove()
    gradients = {}
    if np.isfinite(terms["loss"]):
        gradients = {name: float(np.linalg.norm(_array(t.grad))) for name, t in parameters if t.grad is not None}
    step.optimizer.clear_grad()
    rows = [reading for place in range(len(batches)) for reading in _rows(step, batches[place], watch, place)]
    return Replay(terms, weights, list(watch.layers.values()), rows, gradients)


class _Watch:
    """What hooks of a model and its layers note in forward passes over ``batches``.

    Attributes:
        layers: range of each layer's outputs, in the order of first calls.
        outputs: what the model gave, by number of the batch.
        lost: the first layer whose output for a row is not finite, by number of the batch and place in it.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.numbers = {id(batch): number for number, batch in enumerate(batches)}
        self.sizes = [len(next(iter(batch.values()))) for batch in batches]
        self.layers: dict[str, LayerRange] = {}
        self.outputs: list[list[Outputs]] = [[] for _ in batches]
        self.lost: list[dict[int, str]] = [{} for _ in batches]
        self.current: int | None = None

    def handles(self, model: Any) -> list[Any]:
        """Set the hooks; each handle removes one."""
        found = [layer.register_forward_post_hook(self._noter(name)) for name, layer in model.named_sublayers()]
        found.append(model.register_forward_pre_hook(self._begin))
        return [*found, model.register_forward_post_hook(self._end)]

    def _begin(self, model: Any, inputs: Any) -> None:
        self.current = self.numbers.get(id(inputs[0])) if inputs else None

    def _end(self, model: Any, inputs: Any, outputs: Any) -> None:
        if self.current is not None:
            self.outputs[self.current].append(outputs)

    def _noter(self, name: str) -> Any:
        def note(layer: Any, inputs: Any, outputs: Any) -> None:
            arrays = [array for array in map(_array, _tensors(outputs)) if array.size]
            if not arrays:
                return
            self.layers[name] = _merged(self.layers.get(name), name, type(layer).__name__, arrays)
            if self.current is None or self.layers[name].finite:
                return
            size, lost = self.sizes[self.current], self.lost[self.current]
            for array in arrays:
                if array.ndim and len(array) == size:
                    for place in np.flatnonzero(~np.isfinite(array.reshape(size, -1)).all(axis=1)).tolist():
                        lost.setdefault(place, name)

        return note


def _merged(before: LayerRange | None, name: str, kind: str, arrays: Sequence[np.ndarray]) -> LayerRange:
    values = np.concatenate([array.ravel() for array in arrays])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    found = LayerRange(name, kind, low, high, int(np.isnan(values).sum()), int(np.isinf(values).sum()), values.size)
    if before is None:
        return found
    return found._replace(
        low=float(np.fmin(low, before.low)),
        high=float(np.fmax(high, before.high)),
        nan=found.nan + before.nan,
        infinite=found.infinite + before.infinite,
        size=found.size + before.size,
    )


def _rows(step: TrainStep, batch: Batch, watch: _Watch, number: int) -> Iterator[RowReading]:
    """A reading of each row of one batch."""
    size, outputs = watch.sizes[number], watch.outputs[number]
    rows = batch["index"].numpy().tolist() if "index" in batch else list(range(size))
    passes = getattr(step.objective, "passes", 1)
    inputs = _lost(batch, size)
    given = _lost({name: value for each in outputs for name, value in each.items()}, size)
    alone = bool(outputs) and not getattr(step.objective, "whole_batch", False)
    for place, row in enumerate(rows):
        loss = _loss(step, batch, outputs[-passes:], place, size) if alone else None
        yield RowReading(row, inputs[place], watch.lost[number].get(place), given[place], loss)


def _lost(values: Mapping[str, Any], size: int) -> list[dict[str, int]]:
    """For each row, how many values of each floating-point tensor [size, ...] are not finite, where there are some."""
    found: list[dict[str, int]] = [{} for _ in range(size)]
    for name, tensor in values.items():
        if tensor.ndim and tensor.shape[0] == size and "float" in str(tensor.dtype):
            counts = (~np.isfinite(_array(tensor))).reshape(size, -1).sum(axis=1)
            for place in np.flatnonzero(counts):
                found[place][name] = int(counts[place])
    return found


def _loss(step: TrainStep, batch: Batch, outputs: Sequence[Outputs], place: int, size: int) -> float | None:
    """The objective of one row, as if its batch had no other; None where the objective cannot be of one row."""

    def cut(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: value[place : place + 1] if value.ndim and value.shape[0] == size else value
            for name, value in values.items()
        }

    with paddle.no_grad():
        first, *more = map(cut, outputs)
        try:
            return float(terms_of(step.objective, first, cut(batch), *more)["loss"])
        except (
            ValueError,
            IndexError,
            RuntimeError,
            PpmmError,
        ):  # what Paddle and objectives say of a batch that is too small
            return None


def _tensors(value: Any) -> Iterator[Any]:
    """The floating-point tensors in what a layer returned."""
    if isinstance(value, paddle.Tensor):
        if "float" in str(value.dtype):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _array(tensor: Any) -> np.ndarray:
    array: np.ndarray = tensor.detach().astype("float32").numpy()
    return array
