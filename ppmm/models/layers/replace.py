"""One layer of a model in the place of another."""

from __future__ import annotations

from typing import Any

__all__ = ["has_mergeable", "merge_layers", "replace_layer"]


def replace_layer(model: Any, old: Any, new: Any) -> None:
    """Put ``new`` wherever ``model`` has ``old``."""
    for owner in model.sublayers(include_self=True):
        for name, layer in list(owner._sub_layers.items()):
            if layer is old:
                owner._sub_layers[name] = new
    new.train() if old.training else new.eval()


def has_mergeable(model: Any) -> bool:
    """Whether a layer has ``merged() -> Layer``, an equal layer of the plain kind."""
    return any(hasattr(layer, "merged") for layer in model.sublayers())


def merge_layers(model: Any) -> None:
    """Put the equal plain layer in the place of each that has one."""
    for layer in model.sublayers():
        if hasattr(layer, "merged"):
            replace_layer(model, layer, layer.merged())
