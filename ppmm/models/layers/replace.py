"""One layer of a model in the place of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["merge_layers", "replace_layer"]


def replace_layer(model: Any, old: Any, new: Any) -> None:
    """Put ``new`` wherever ``model`` has ``old``."""
    for owner in model.sublayers(include_self=True):
        for name, layer in list(owner._sub_layers.items()):
            if layer is old:
                owner._sub_layers[name] = new
    new.train() if old.training else new.eval()


def merge_layers(model: Any) -> int:
    """Put an equal plain layer in the place of each that can be ``merged``; returns how many there were."""
    count = 0
    for layer in model.sublayers():
        merged: Callable[[], Any] | None = getattr(layer, "merged", None)
        if merged is not None:
            replace_layer(model, layer, merged())
            count += 1
    return count
