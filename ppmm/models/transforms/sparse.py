"""Weights that are zero and stay zero when training goes on."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from ppmm.errors import ConfigError
from ppmm.registry import TRANSFORMS, did_you_mean

__all__ = ["SPARSE", "Sparse"]

SPARSE = (nn.Linear, nn.Conv1D, nn.Conv2D)
"""Layers of these kinds, or kinds made of them."""


@TRANSFORMS.register("sparse")
class Sparse:
    """The gradient of a weight that is zero is zero, so that optimizers leave it alone; nothing else changes.

    No mask is stored: the zeros of the weights are the mask. With AdamW, SGD and the others of ppmm a weight of zero
    whose gradients are zero gets no update, decay included.

    Args:
        layers: names of convolutions and linear layers.
    """

    def __init__(self, layers: list[str]) -> None:
        if not layers:
            raise ValueError("layers must name at least one layer")
        self.layers = list(layers)

    def __call__(self, model: Any) -> None:
        """Raises ConfigError where the model has no such layers; it is then left as it was."""
        there = dict(model.named_sublayers())
        for name in self.layers:
            if name not in there:
                raise ConfigError(f"sparse: this model has no layer '{name}'{did_you_mean(name, there)}")
            if not isinstance(there[name], SPARSE):
                raise ConfigError(
                    f"sparse: '{name}' is a {type(there[name]).__name__}; only linear layers and convolutions"
                )
        for name in self.layers:
            there[name].register_forward_pre_hook(_keep_zeros)


def _keep_zeros(layer: Any, inputs: Any) -> None:
    """See that the gradient of the layer's weight is masked; another step may have given it another weight."""
    weight = layer.weight
    if not layer.training or not paddle.in_dynamic_mode() or getattr(weight, "keeps_zeros", False):
        return
    if weight.stop_gradient:
        return
    weight.register_hook(lambda gradient: gradient * (weight != 0).astype(gradient.dtype))
    weight.keeps_zeros = True
