"""How much a model computes, counted on one real batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.fake_quantised import FakeQuantisedConv1D, FakeQuantisedConv2D, FakeQuantisedLinear
from ppmm.models.layers.rbf import RBF
from ppmm.types import Batch

__all__ = ["count_flops"]

Inputs = Sequence[Any]
"""Positional arguments of a layer's forward."""


def count_flops(model: Any, batch: Batch) -> int:
    """Multiply-adds of one forward pass over ``batch`` (one multiply-add = 1, as `paddle.flops` counts).

    Convolutions, linear, recurrent and radial-basis layers and attention are counted: what else a layer does is small
    beside them.
    """
    total = 0

    def hook(layer: nn.Layer, inputs: Any, output: Any) -> None:
        nonlocal total
        total += COUNTERS[type(layer)](layer, inputs, output)

    handles = [layer.register_forward_post_hook(hook) for layer in model.sublayers() if type(layer) in COUNTERS]
    was_training = model.training
    try:
        model.eval()
        with paddle.no_grad():
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
        if was_training:
            model.train()
    return total


def _convolution(layer: Any, inputs: Inputs, y: Tensor) -> int:
    per_output = math.prod(layer.weight.shape[1:])
    return int(math.prod(y.shape) * per_output)


def _linear(layer: Any, inputs: Inputs, y: Tensor) -> int:
    return int(math.prod(y.shape) * layer.weight.shape[0])


def _recurrent(layer: Any, inputs: Inputs, y: Any) -> int:
    steps = inputs[0].shape[0] * inputs[0].shape[1]
    return int(steps * sum(math.prod(weight.shape) for weight in layer.parameters() if weight.ndim == 2))


def _distances(layer: Any, inputs: Inputs, y: Tensor) -> int:
    return int(math.prod(y.shape) * layer.centres.shape[1])


def _attention(layer: Any, inputs: Inputs, y: Tensor) -> int:
    """Scores and weighted sums; the projections are linear layers."""
    keys = inputs[0] if len(inputs) < 2 or inputs[1] is None else inputs[1]
    return int(2 * math.prod(inputs[0].shape[:2]) * keys.shape[1] * layer.heads * layer.head_dim)


COUNTERS: dict[type, Callable[[Any, Any, Any], int]] = {
    MultiHeadAttention: _attention,
    nn.Conv1D: _convolution,
    nn.Conv2D: _convolution,
    nn.Linear: _linear,
    FakeQuantisedConv1D: _convolution,
    FakeQuantisedConv2D: _convolution,
    FakeQuantisedLinear: _linear,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
    nn.SimpleRNN: _recurrent,
    RBF: _distances,
}
