"""Cutting channels out of a model, and doing the same to a fresh one whose weights are still to be loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from ppmm.compress.dependencies import Kept
from ppmm.compress.layer_attributes import new_attributes
from ppmm.compress.trace import tensors_of
from ppmm.errors import CompressError
from ppmm.registry import did_you_mean

__all__ = ["Undo", "replay", "resize", "shrink"]

Undo = Callable[[], None]
"""Brings a model back to what it was."""


def shrink(model: nn.Layer, kept: Kept) -> Undo:
    """Keep these indices of a model's parameters and buffers, in place, and what its layers know of their sizes.

    The parameters remain the same objects, shared ones stay shared, and gradients are dropped. An optimizer over them
    must be built anew.
    """
    arrays = {}
    own = tensors_of(model)
    for name, dimensions in kept.items():
        arrays[name] = own[name].numpy().copy()
        for dimension, indices in dimensions.items():
            arrays[name] = np.take(arrays[name], indices, axis=dimension)
    return resize(model, arrays)


def replay(model: nn.Layer, args: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> None:
    """Give a freshly built model the ``shapes`` of a pruned one; its weights are arbitrary until others are loaded.

    Args:
        model: as it was before pruning.
        args: ``sizes`` {layer: {attribute: size}} are sizes that only a forward pass can tell.
        shapes: of each parameter and buffer that pruning changed.

    Raises CompressError when the model is another one.
    """
    own = tensors_of(model)
    arrays = {}
    for name, shape in shapes.items():
        if name not in own:
            raise CompressError(f"this model has no '{name}', which was pruned{did_you_mean(name, own)}")
        array = own[name].numpy().copy()
        if len(shape) != array.ndim or any(new > old or new < 1 for new, old in zip(shape, array.shape, strict=True)):
            raise CompressError(f"{name} is {list(array.shape)} here and was pruned to {shape}: another architecture")
        arrays[name] = array[tuple(slice(size) for size in shape)]
    resize(model, arrays)
    layers = dict(model.named_sublayers(include_self=True))
    for name, sizes in args.get("sizes", {}).items():
        for attribute, size in sizes.items():
            if attribute not in ("out_dim", "out_dims") or not hasattr(layers.get(name), attribute):
                raise CompressError(f"this model has no '{name}.{attribute}', which was pruned: another architecture")
            setattr(layers[name], attribute, size)


def resize(model: nn.Layer, arrays: Mapping[str, np.ndarray]) -> Undo:
    """Give parameters and buffers other values of other shapes, and their layers the sizes that follow."""
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
