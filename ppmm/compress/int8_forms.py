"""Layers in the forms of which oneDNN's INT8 kernels are right, for graphs that are to be quantised.

Of a matrix [in,out] the passes of Paddle Inference 3.1.1 take the ranges for the output channels from its numbers as
they lie in memory, ``in`` at a time, which are not those of the channels: weights above such a range are cut off. That
is harmless only where all ranges are alike, as in a fresh random matrix, and never seen in INT8 without a bias, which
stays in float32 unnoticed. A convolution is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from paddle import nn

from ppmm.models.layers.linear_convolution import LinearConvolution
from ppmm.models.layers.replace import replace_layer
from ppmm.models.layers.time_convolution import TimeConvolution

__all__ = ["fit_for_int8", "layer_names", "stays_linear"]

CUT = 1.02
"""How much larger than the range that it gets a channel may be: two to three of 127 levels."""
COARSE = 4.0
"""How much smaller."""


def fit_for_int8(model: Any) -> None:
    """Change the layers of ``model`` for an INT8 graph; it answers as before."""
    for layer in model.sublayers():
        if type(layer) is nn.Conv1D and getattr(layer, "_padding_mode", "zeros") == "zeros":
            replace_layer(model, layer, TimeConvolution(layer))
        elif type(layer) is nn.Linear and not stays_linear(layer):
            replace_layer(model, layer, LinearConvolution(layer))


def stays_linear(layer: nn.Linear) -> bool:
    """Whether oneDNN computes it in INT8 with ranges that are near enough.

    Not a square one either: the pass tells the axis of the ranges by their number.
    """
    weight = np.abs(layer.weight.numpy())
    inputs, outputs = weight.shape
    if layer.bias is None or inputs == outputs:
        return False
    wanted = np.maximum(weight.max(axis=0), 1e-12)
    taken = np.maximum(weight.reshape(outputs, inputs).max(axis=1), 1e-12)
    return bool((wanted <= CUT * taken).all() and (taken <= COARSE * wanted).all())


def layer_names(model: Any) -> dict[str, str]:
    """Paddle's name of each parameter -> its name in the model as it was before `fit_for_int8`."""
    inner = {
        f"{name}.convolution.": f"{name}."
        for name, layer in model.named_sublayers()
        if isinstance(layer, LinearConvolution | TimeConvolution)
    }
    names = {}
    for name, parameter in model.named_parameters():
        prefix = next((prefix for prefix in inner if name.startswith(prefix)), "")
        names[parameter.name] = inner.get(prefix, "") + name.removeprefix(prefix)
    return names
