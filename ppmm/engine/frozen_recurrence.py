"""Gradients through recurrent layers whose own weights do not learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from paddle import nn

__all__ = ["recurrent_layers", "through_frozen_recurrence"]

RECURRENT = (nn.LSTM, nn.GRU, nn.SimpleRNN)


def recurrent_layers(model: Any) -> list[Any]:
    """Those of a model that is a Layer."""
    layers = model.sublayers(include_self=True) if isinstance(model, nn.Layer) else []
    return [layer for layer in layers if isinstance(layer, RECURRENT)]


@contextmanager
def through_frozen_recurrence(layers: Sequence[Any]) -> Iterator[None]:
    """Forward and backward within work although weights of a recurrent layer have ``stop_gradient``.

    Paddle's operator for such layers cannot leave the gradients of its weights out: they are computed where something
    before the layer learns, and thrown away at the end.

    Args:
        layers: the `recurrent_layers` of the model.
    """
    lifted: list[Any] = []

    def lift(layer: Any, inputs: Any) -> None:
        if inputs[0].stop_gradient:
            return
        for weight in layer.parameters():
            if weight.stop_gradient:
                weight.stop_gradient = False
                lifted.append(weight)

    frozen = [layer for layer in layers if any(weight.stop_gradient for weight in layer.parameters())]
    hooks = [layer.register_forward_pre_hook(lift) for layer in frozen]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for weight in lifted:
            weight.clear_gradient(False)
            weight.stop_gradient = True
