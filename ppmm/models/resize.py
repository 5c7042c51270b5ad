"""Other shapes for a built model's parameters and buffers, and the sizes that its layers remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from ppmm.models.layer_attributes import new_attributes

__all__ = ["Undo", "resize", "tensors_of"]

Undo = Callable[[], None]
"""Brings a model back to what it was."""


def tensors_of(model: nn.Layer) -> dict[str, Tensor]:
    """Parameters and buffers by structured name, those that are not saved too; a shared one has its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def resize(model: nn.Layer, arrays: Mapping[str, np.ndarray]) -> Undo:
    """Give parameters and buffers other values, of the same or another shape, and their layers the sizes that follow.

    The parameters remain the same objects, shared ones stay shared, and gradients are dropped. An optimizer over them
    must be built anew.
    """
    own = tensors_of(model)
    before = {name: own[name].numpy().copy() for name in arrays}
    layers = list(model.sublayers(include_self=True))
    old = [_shapes(layer) for layer in layers]
    for name, array in arrays.items():
        _replace(own[name], array)
    settings: list[tuple[Any, str, Any]] = []
    for layer, shapes in zip(layers, old, strict=True):
        if _touches(layer, shapes):
            for attribute, value in new_attributes(layer, shapes).items():
                if hasattr(layer, attribute):
                    settings.append((layer, attribute, getattr(layer, attribute)))
                    setattr(layer, attribute, value)
    _flatten_recurrent(layers)

    def undo() -> None:
        for name, array in before.items():
            _replace(own[name], array)
        for layer, attribute, value in settings:
            setattr(layer, attribute, value)
        _flatten_recurrent(layers)

    return undo


def _shapes(layer: nn.Layer) -> dict[str, tuple[int, ...]]:
    """Of a layer's parameters and buffers, those of its sublayers too."""
    return {name: tuple(tensor.shape) for name, tensor in tensors_of(layer).items()}


def _touches(layer: nn.Layer, old: Mapping[str, tuple[int, ...]]) -> bool:
    return _shapes(layer) != old


def _replace(tensor: Tensor, array: np.ndarray) -> None:
    if list(tensor.shape) == list(array.shape):
        tensor.set_value(array)
        return
    tensor.clear_gradient(False)
    place = tensor.place
    where = paddle.CPUPlace() if place.is_cpu_place() else paddle.CUDAPlace(place.gpu_device_id())
    tensor.get_tensor().set(np.ascontiguousarray(array), where)


def _flatten_recurrent(layers: list[nn.Layer]) -> None:
    """Recurrent layers hold their parameters in one piece of memory, which was cut."""
    for layer in layers:
        if isinstance(layer, nn.layer.rnn.RNNBase):
            layer.flatten_parameters()
