"""Convolutions and linear layers whose weights and inputs are rounded to 8 bits in training; see `fake_quantisation`.

They are layers of the plain kinds with the same names of parameters, so that what counts, prunes or reads layers finds
in them what it knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.fake_quantisation import ActivationQuantiser, quantised_weight
from ppmm.models.layers.time_convolution import TimeConvolution, convolution_settings

__all__ = [
    "QUANTISED",
    "FakeQuantisedConv1D",
    "FakeQuantisedConv2D",
    "FakeQuantisedLinear",
    "fake_quantised",
    "fake_quantised_layers",
    "observing",
    "without_rounding",
]


class FakeQuantisedLinear(nn.Linear):
    """A linear layer; the weight [in,out] has a range for each output channel.

    Inputs: x [...,in]. Returns: [...,out].
    """

    quantiser: ActivationQuantiser

    def __init__(self, base: nn.Linear, quantiser: ActivationQuantiser) -> None:
        _take_over(self, base, quantiser)

    def forward(self, x: Tensor) -> Tensor:
        if not self.quantiser.rounding:
            return F.linear(self.quantiser(x), self.weight, self.bias)
        return F.linear(self.quantiser(x), quantised_weight(self.weight, 1), self.bias)

    def merged(self) -> nn.Linear:
        """The plain layer with the same float32 weight."""
        inputs, outputs = self.weight.shape
        plain = nn.Linear(inputs, outputs, bias_attr=None if self.bias is not None else False)
        return _with_parameters(plain, self)


class FakeQuantisedConv2D(nn.Conv2D):
    """A convolution, padded with zeros; the weight [out,in,h,w] has a range for each output channel.

    Inputs: x [B,in,H,W]. Returns: [B,out,H',W'].
    """

    quantiser: ActivationQuantiser

    def __init__(self, base: nn.Conv2D, quantiser: ActivationQuantiser) -> None:
        _take_over(self, base, quantiser)

    def forward(self, x: Tensor) -> Tensor:
        weight = quantised_weight(self.weight, 0) if self.quantiser.rounding else self.weight
        return F.conv2d(self.quantiser(x), weight, self.bias, **convolution_settings(self))

    def merged(self) -> nn.Conv2D:
        """The plain layer with the same float32 weight."""
        outputs, inputs, *kernel = self.weight.shape
        bias = None if self.bias is not None else False
        plain = nn.Conv2D(inputs * self._groups, outputs, kernel, bias_attr=bias, **convolution_settings(self))
        return _with_parameters(plain, self)


class FakeQuantisedConv1D(nn.Conv1D):
    """A convolution over time, padded with zeros; the weight [out,in,k] has a range for each output channel.

    Inputs: x [B,in,T]. Returns: [B,out,T'].
    """

    quantiser: ActivationQuantiser

    def __init__(self, base: nn.Conv1D, quantiser: ActivationQuantiser) -> None:
        _take_over(self, base, quantiser)

    def forward(self, x: Tensor) -> Tensor:
        weight = quantised_weight(self.weight, 0) if self.quantiser.rounding else self.weight
        return F.conv1d(self.quantiser(x), weight, self.bias, **convolution_settings(self))

    def merged(self) -> nn.Layer:
        """The same in the form that INT8 kernels know."""
        return TimeConvolution(self)


QUANTISED: dict[type, Any] = {
    nn.Linear: FakeQuantisedLinear, nn.Conv1D: FakeQuantisedConv1D, nn.Conv2D: FakeQuantisedConv2D,
}  # fmt: skip


def fake_quantised(base: Any, quantiser: ActivationQuantiser) -> Any:
    """A layer in the place of ``base`` that shares its parameters; None where there is no such kind."""
    kind = QUANTISED.get(type(base))
    if kind is None or getattr(base, "_padding_mode", "zeros") != "zeros":
        return None
    return kind(base, quantiser)


def fake_quantised_layers(model: Any) -> dict[str, Any]:
    """The layers of these kinds by name."""
    kinds = tuple(QUANTISED.values())
    return {name: layer for name, layer in model.named_sublayers() if isinstance(layer, kinds)}


@contextmanager
def observing(model: Any) -> Iterator[None]:
    """Within it the ranges of activations follow the batches and nothing is rounded; then they begin with these."""
    layers = fake_quantised_layers(model).values()
    with without_rounding(model):
        for layer in layers:
            layer.quantiser.observing = True
        try:
            yield
        finally:
            for layer in layers:
                layer.quantiser.observing = False
    for layer in layers:
        layer.quantiser.settle()


@contextmanager
def without_rounding(model: Any) -> Iterator[None]:
    """Within it the model computes in float32."""
    layers = list(fake_quantised_layers(model).values())
    before = [layer.quantiser.rounding for layer in layers]
    for layer in layers:
        layer.quantiser.rounding = False
    try:
        yield
    finally:
        for layer, rounding in zip(layers, before, strict=True):
            layer.quantiser.rounding = rounding


def _take_over(layer: Any, base: Any, quantiser: ActivationQuantiser) -> None:
    """Make ``layer`` what ``base`` is, with a quantiser more; parameters are shared."""
    nn.Layer.__init__(layer)
    own = ("_parameters", "_sub_layers", "_buffers")
    layer.__dict__.update({key: value for key, value in base.__dict__.items() if key not in own})
    for name, parameter in base._parameters.items():
        layer._parameters[name] = parameter
    layer.quantiser = quantiser


def _with_parameters(plain: Any, layer: Any) -> Any:
    plain.weight = layer.weight
    if layer.bias is not None:
        plain.bias = layer.bias
    return plain
