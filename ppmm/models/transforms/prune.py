"""The form of a pruned model, for one that was built as it was before: so a checkpoint can be read without pruning."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.models.resize import resize, tensors_of
from ppmm.registry import TRANSFORMS, did_you_mean

__all__ = ["Shrunk"]


@TRANSFORMS.register("prune")
class Shrunk:
    """Cuts a freshly built model to the shapes of a pruned one; which of its weights stay means nothing, since others
    are loaded then.

    Args:
        tensors: shape of each parameter and buffer that pruning changed.
        sizes: {layer: {attribute: size}} of layers that state an ``out_dim``.
        kept: {buffer: [[indices that stay] or null per dimension]} of buffers that no checkpoint saves (rates of
            positions): what is left of them is not arbitrary.
    """

    def __init__(
        self,
        tensors: dict[str, list[int]],
        sizes: dict[str, dict[str, Any]] | None = None,
        kept: dict[str, list[Any]] | None = None,
    ) -> None:
        self.tensors = tensors
        self.sizes = sizes or {}
        self.kept = kept or {}

    def __call__(self, model: Any) -> None:
        """Raises ConfigError where the model is another one; it is then left as it was."""
        own, layers = tensors_of(model), dict(model.named_sublayers(include_self=True))
        arrays = {}
        for name, shape in self.tensors.items():
            if name not in own:
                raise ConfigError(f"prune: this model has no '{name}', which was pruned{did_you_mean(name, own)}")
            array = own[name].numpy()
            fits = len(shape) == array.ndim and all(0 < new <= old for new, old in zip(shape, array.shape, strict=True))
            if not fits:
                raise ConfigError(f"prune: {name} is {list(array.shape)} here and cannot become {shape}")
            kept = self.kept.get(name) or [None] * len(shape)
            arrays[name] = _cut(array, shape, kept, name)
        for name, sizes in self.sizes.items():
            for attribute in sizes:
                if attribute not in ("out_dim", "out_dims") or not hasattr(layers.get(name), attribute):
                    raise ConfigError(f"prune: this model has no '{name}.{attribute}', which was pruned")
        resize(model, arrays)
        for name, sizes in self.sizes.items():
            for attribute, size in sizes.items():
                setattr(layers[name], attribute, size)


def _cut(array: np.ndarray, shape: list[int], kept: list[Any], name: str) -> np.ndarray:
    """The indices that stay in each dimension, or the first ones. Raises ConfigError."""
    for dimension, (size, indices) in enumerate(zip(shape, kept, strict=True)):
        chosen = list(range(size)) if indices is None else indices
        if len(chosen) != size or not all(0 <= index < array.shape[dimension] for index in chosen):
            raise ConfigError(f"prune: {name} has {size} entries, but {chosen} are kept of {array.shape[dimension]}")
        array = np.take(array, chosen, axis=dimension)
    return array
