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
    """One row of the step: how many values of each input and output were not finite, and its loss taken alone.

    ``loss`` is None where rows have no loss of their own, as in contrastive objectives.
    """

    row: int
    inputs: dict[str, int]
    outputs: dict[str, int]
    loss: float | None

    @property
    def suspicious(self) -> bool:
        return bool(self.inputs or self.outputs or (self.loss is not None and not np.isfinite(self.loss)))


class Replay(NamedTuple):
    """``weights``: parameters that were not finite before the step; ``layers`` in the order of their calls;
    ``gradients``: norm by parameter, empty where the loss is not finite."""

    terms: dict[str, float]
    weights: list[str]
    layers: list[LayerRange]
    rows: list[RowReading]
    gradients: dict[str, float]

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.terms["loss"]))


def replay_step(step: TrainStep, batches: Sequence[Batch], number: int) -> Replay:
    """Forward and backward of optimizer step ``number`` over ``batches``, without the update.

    What is random in it (dropout) is drawn as in the run.
    """
    parameters = trained_parameters(step.model, step.objective)
    weights = [name for name, tensor in parameters if not np.isfinite(_array(tensor)).all()]
    layers: dict[str, LayerRange] = {}
    given: dict[int, list[Outputs]] = {id(batch): [] for batch in batches}
    step.model.train()
    if isinstance(step.objective, paddle.nn.Layer):
        step.objective.train()
    handles = _watch(step.model, layers, given)
    try:
        terms = step.gradients(batches, number)
    finally:
        for handle in handles:
            handle.remove()
    gradients = {}
    if np.isfinite(terms["loss"]):
        gradients = {name: float(np.linalg.norm(_array(t.grad))) for name, t in parameters if t.grad is not None}
    step.optimizer.clear_grad()
    rows = [reading for batch in batches for reading in _rows(step, batch, given[id(batch)])]
    return Replay(terms, weights, list(layers.values()), rows, gradients)


def _watch(model: Any, layers: dict[str, LayerRange], given: dict[int, list[Outputs]]) -> list[Any]:
    """Note the range of every layer's output, and the model's outputs by batch."""

    def of(name: str) -> Any:
        def note(layer: Any, inputs: Any, outputs: Any) -> None:
            arrays = [array for array in map(_array, _tensors(outputs)) if array.size]
            if arrays:
                layers[name] = _merged(layers.get(name), name, type(layer).__name__, arrays)

        return note

    def note_outputs(layer: Any, inputs: Any, outputs: Any) -> None:
        if inputs and id(inputs[0]) in given:
            given[id(inputs[0])].append(outputs)

    handles = [layer.register_forward_post_hook(of(name)) for name, layer in model.named_sublayers()]
    return [*handles, model.register_forward_post_hook(note_outputs)]


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


def _rows(step: TrainStep, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[RowReading]:
    """A reading of each row of one batch, from the outputs of its forward passes."""
    size = len(next(iter(batch.values())))
    numbers = batch["index"].numpy().tolist() if "index" in batch else list(range(size))
    passes = getattr(step.objective, "passes", 1)
    inputs = _lost(batch, size)
    lost = _lost({name: value for given in outputs for name, value in given.items()}, size)
    alone = bool(outputs) and not getattr(step.objective, "whole_batch", False)
    for place, number in enumerate(numbers):
        loss = _loss(step, batch, outputs[-passes:], place, size) if alone else None
        yield RowReading(number, inputs[place], lost[place], loss)


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
