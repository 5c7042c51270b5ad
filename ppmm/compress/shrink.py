"""Cutting channels out of a model."""

from __future__ import annotations

import numpy as np
from paddle import nn

from ppmm.compress.dependencies import Kept
from ppmm.models.resize import Undo, resize, tensors_of

__all__ = ["shrink"]


def shrink(model: nn.Layer, kept: Kept) -> Undo:
    """Keep these indices of a model's parameters and buffers, in place; see `resize`."""
    arrays = {}
    own = tensors_of(model)
    for name, dimensions in kept.items():
        arrays[name] = own[name].numpy().copy()
        for dimension, indices in dimensions.items():
            arrays[name] = np.take(arrays[name], indices, axis=dimension)
    return resize(model, arrays)
