"""Layer-wise learning rates: the nearer to the input, the smaller.

Discriminative fine-tuning (Howard and Ruder 2018, section 3.1) as in ELECTRA (Clark et al. 2020) and BEiT (Bao et al.
2022), with BEiT's exponents: in an encoder of L layers, layer l = 1 ... L has the factor decay^(L + 1 - l), what comes
before the first layer (embeddings, patches, positions, class tokens) decay^(L + 1), and what comes after the last 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from paddle import Tensor

__all__ = ["layer_rates"]

ENCODER = re.compile(r"encoders\.[^.]+\.")
LAYER = re.compile(r"(?:.*?\.)??(?:blocks?|layers?|stages?|h)(?:\.\d+)+(?=\.)")
"""The outermost numbered layer that a parameter of an encoder is in: ``a.blocks.3`` of ``a.blocks.3.layers.0.weight``.

Other numbered parts, such as the windows of a TextCNN, may stand side by side and do not count."""
TOKEN = re.compile(r"(?:^|[._])token$")
"""Class tokens enter with the input, wherever the program makes them."""
Named = Sequence[tuple[str, Tensor]]


def layer_rates(named_parameters: Named, decay: float) -> dict[str, float]:
    """The factor of each parameter of an encoder with numbered layers, by name; encoders without them are left out.

    Layers count in the order of the parameters; one without a matrix or kernel (a norm between two convolutions)
    belongs to the layer before it. Raises ValueError when no encoder has numbered layers.
    """
    encoders: dict[str, list[tuple[str, Tensor]]] = {}
    for name, parameter in named_parameters:
        prefix = ENCODER.match(name)
        if prefix is not None:
            encoders.setdefault(prefix.group(), []).append((name[prefix.end() :], parameter))
    rates = {
        f"{encoder}{name}": decay**below
        for encoder, parameters in encoders.items()
        for name, below in _layers_below_the_top(parameters).items()
    }
    if not rates:
        there = ", ".join(encoder.rstrip(".") for encoder in encoders) or "the model has no encoders"
        raise ValueError(
            f"layer_decay: no encoder has numbered layers, such as 'blocks.3.' or 'layers.3.' ({there}); remove it, "
            "or give the rates as groups"
        )
    return rates


def _layers_below_the_top(parameters: Named) -> dict[str, int]:
    """The exponent of each parameter of one encoder: 0 after the last layer, 1 in it ...; {} without layers."""
    layers = {name: found.group() for name, _ in parameters if (found := LAYER.match(name))}
    if not layers:
        return {}
    weighty = {layers[name] for name, parameter in parameters if name in layers and len(parameter.shape) > 1}
    last = list(layers)[-1]
    numbers: dict[str, int] = {}
    depths: dict[str, int] = {}
    depth, passed = 0, False
    for name, _ in parameters:
        if name in layers:
            depth += layers[name] in weighty and layers[name] not in numbers
            numbers.setdefault(layers[name], depth)
        inside = numbers[layers[name]] if name in layers else depth
        depths[name] = 0 if TOKEN.search(name) else depth + 1 if passed else inside
        passed = passed or name == last
    return {name: depth + 1 - at for name, at in depths.items()}
