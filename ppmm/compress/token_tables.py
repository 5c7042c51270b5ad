"""The embeddings that a text field's ids are looked up in."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import nn

from ppmm.compress.trace import Operation, trace
from ppmm.errors import CompressError
from ppmm.models.resize import tensors_of
from ppmm.types import Batch

__all__ = ["token_tables"]


def token_tables(model: nn.Layer, field: str, sample: Batch) -> dict[str, nn.Layer]:
    """Embeddings that get the ids of ``field``, by the name of their table.

    They are found by what they are given when the ids are two different ones. Raises CompressError where there is none,
    where one is given something else too (another field, positions), and where a table is used for anything but looking
    up, such as logits over the vocabulary.
    """
    ids = sample[field]
    other = paddle.where(ids > 1, ids - 1, ids)
    layers = {name: layer for name, layer in model.named_sublayers() if isinstance(layer, nn.Embedding)}
    seen = [_given(model, layers, sample), _given(model, layers, {**sample, field: other})]
    mask = sample.get(f"{field}_mask")
    valid = np.ones(ids.shape, bool) if mask is None else mask.numpy().astype(bool)
    found = {}
    names = {id(tensor): name for name, tensor in tensors_of(model).items()}
    for name, layer in layers.items():
        pairs = zip(seen, (ids, other), strict=True)
        hits = [[_same(array, wanted.numpy(), valid) for array in arrays[name]] for arrays, wanted in pairs]
        if not any(any(hit) for hit in hits):
            continue
        if not all(all(hit) for hit in hits):
            raise CompressError(
                f"field: {name} looks up the tokens of '{field}' and of something else too, whose vocabulary must stay"
            )
        found[names[id(layer.weight)]] = layer
    if not found:
        raise CompressError(f"field: no embedding of the model is given the tokens of '{field}'")
    _check_lookups(model, sample, set(found))
    return found


def _given(model: nn.Layer, layers: dict[str, Any], sample: Batch) -> dict[str, list[np.ndarray]]:
    """What each of ``layers`` is given."""
    seen: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    handles = []
    for name, layer in layers.items():

        def note(_: Any, inputs: Any, name: str = name) -> None:
            seen[name].append(inputs[0].numpy())

        handles.append(layer.register_forward_pre_hook(note))
    was_training = model.training
    try:
        model.eval()
        with paddle.no_grad():
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
        if was_training:
            model.train()
    return seen


def _same(array: np.ndarray, ids: np.ndarray, valid: np.ndarray) -> bool:
    return array.shape == ids.shape and bool((array == ids)[valid].all())


def _check_lookups(model: nn.Layer, sample: Batch, tables: set[str]) -> None:
    """Raises CompressError where an operation other than a look-up reads one of ``tables``."""
    program = trace(model, sample)
    for operation in program.operations:
        for number in _operands(operation):
            name = program.tensors.get(number)
            if name in tables and operation.name != "embedding":
                raise CompressError(
                    f"field: {name} is also used by {operation} (tied weights, such as logits over the vocabulary): "
                    "without some tokens the model would have other outputs"
                )


def _operands(operation: Operation) -> list[int]:
    slots = [slot if isinstance(slot, list) else [slot] for slot in operation.inputs.values()]
    return [number for slot in slots for number in slot if number is not None]
