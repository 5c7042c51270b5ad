"""The form of a model that was trained with rounded numbers: so a checkpoint can be read, trained on and exported."""

from __future__ import annotations

from typing import Any

from ppmm.errors import ConfigError
from ppmm.models.layers.fake_quantisation import ACTIVATIONS, ActivationKind, make_quantiser
from ppmm.models.layers.fake_quantised import fake_quantised, fake_quantised_layers
from ppmm.models.layers.replace import replace_layer
from ppmm.registry import TRANSFORMS, did_you_mean

__all__ = ["FakeQuantisation"]


@TRANSFORMS.register("qat")
class FakeQuantisation:
    """Rounds weights and inputs of layers to 8 bits in every forward pass (Jacob et al. 2018, section 3).

    The range of a weight is the largest absolute value of each output channel, found anew each time; that of the input
    is a buffer or a parameter of the layer's ``quantiser`` (see `ppmm.models.layers.fake_quantisation`).

    Args:
        layers: names of convolutions (one or two dimensions, padded with zeros) and linear layers.
        activation: of the ranges of inputs: ``moving_average``, ``lsq`` or ``pact``.
        rate: of the moving average.

    Raises ConfigError for a layer that is not there, is of another kind, or is rounded already.
    """

    def __init__(self, layers: list[str], activation: ActivationKind = "moving_average", rate: float = 0.9) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got '{activation}'")
        if not layers:
            raise ValueError("layers must name at least one layer")
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be at least 0 and below 1, got {rate}")
        self.layers = list(layers)
        self.activation, self.rate = activation, rate

    def __call__(self, model: Any) -> None:
        """The model is left as it was where that fails."""
        there = dict(model.named_sublayers())
        rounded = fake_quantised_layers(model)
        new = {}
        for name in self.layers:
            if name in rounded:
                raise ConfigError(f"qat: {name} is rounded to 8 bits already")
            if name not in there:
                raise ConfigError(f"qat: this model has no layer '{name}'{did_you_mean(name, there)}")
            layer = fake_quantised(there[name], make_quantiser(self.activation, self.rate))
            if layer is None:
                raise ConfigError(
                    f"qat: {name} is a {type(there[name]).__name__}; only convolutions padded with zeros and linear "
                    "layers can be rounded to 8 bits"
                )
            new[name] = layer
        for name, layer in new.items():
            replace_layer(model, there[name], layer)
