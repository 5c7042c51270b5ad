"""The size of an embedding that encoders and fusions state, as it really is after pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import nn

from ppmm.compress.trace import Sample

__all__ = ["Sizes", "changed_sizes", "measure_sizes", "set_sizes"]

Sizes = dict[str, dict[str, Any]]
"""Layer -> ``out_dim`` or ``out_dims`` -> what it is."""


def measure_sizes(model: nn.Layer, sample: Sample) -> Sizes:
    """The last dimension of what each layer that states an ``out_dim`` (or ``out_dims`` by field) returns."""
    found: Sizes = {}
    handles = []
    for name, layer in model.named_sublayers(include_self=True):
        for attribute in ("out_dim", "out_dims"):
            if hasattr(layer, attribute):

                def note(_: Any, __: Any, answer: Any, name: str = name, attribute: str = attribute) -> None:
                    found[name] = {attribute: _size(answer)}

                handles.append(layer.register_forward_post_hook(note))
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
    return found


def changed_sizes(model: nn.Layer, before: Sizes, after: Sizes) -> Sizes:
    """Where a layer stated what was true before, and now is not."""
    layers = dict(model.named_sublayers(include_self=True))
    return {
        name: {key: size for key, size in sizes.items() if size != before[name][key]}
        for name, sizes in after.items()
        if any(
            size != before[name][key] and getattr(layers[name], key) == before[name][key] for key, size in sizes.items()
        )
    }


def set_sizes(model: nn.Layer, sizes: Sizes) -> None:
    """Let layers state these sizes."""
    layers = dict(model.named_sublayers(include_self=True))
    for name, values in sizes.items():
        for attribute, value in values.items():
            setattr(layers[name], attribute, value)


def _size(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        return {key: _size(value) for key, value in answer.items()}
    if isinstance(answer, tuple | list):
        return _size(answer[0])
    return answer.shape[-1]
