"""Quantisation-aware training as a step."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import paddle
from paddle import nn

from ppmm.compress.context import Compressed, Context, Training
from ppmm.errors import CompressError, ConfigError
from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.fake_quantisation import ACTIVATIONS, ActivationKind
from ppmm.models.layers.fake_quantised import QUANTISED, fake_quantised_layers, observing
from ppmm.models.transforms.qat import FakeQuantisation
from ppmm.registry import COMPRESSORS, did_you_mean
from ppmm.types import Batch

__all__ = ["QAT"]

EVALUATED = 512
"""Rows of the validation split for the figures before training."""
FLOAT = {
    nn.LSTM: "recurrent", nn.GRU: "recurrent", nn.SimpleRNN: "recurrent", nn.Embedding: "a table, looked up",
    nn.Conv2DTranspose: "transposed convolution", nn.Conv1DTranspose: "transposed convolution",
    nn.MultiHeadAttention: "products of activations", MultiHeadAttention: "products of activations",
}  # fmt: skip
"""Layers that compute and stay in float32, and why."""


@COMPRESSORS.register("qat")
class QAT:
    """Trains with weights and inputs of layers rounded to 8 bits, as PaddleSlim's QAT does (Jacob et al. 2018).

    Weights have a range for each output channel, their largest absolute value. ``deploy/export.py`` writes the INT8
    graph with the trained ranges, without calibration. Linear layers and convolutions in one and two dimensions are
    rounded; recurrent layers, embeddings and attention's products stay in float32, and the report names them.

    Args:
        activation: how the range of an input is found: ``moving_average`` of the batches' largest absolute values;
            ``lsq`` (Esser et al. 2020) and ``pact`` (Choi et al. 2018) train it.
        keep: patterns of layers that stay in float32, such as ``"head.*"``; each must match a layer.
        bits: 8, which is what oneDNN and TensorRT compute in.
        rate: of the moving average: how much of the past stays at each batch.
        calibrate: rows of the training split that ranges begin with.
        epochs: passes over the training split.
        max_steps: optimizer steps after which it ends earlier.
        learning_rate: base rate; that of the config when null. A tenth of it is a good beginning.
        set: other values of keys of the config, as with ``-o``: ``{loader.batch_size: 32}``.

    Raises ConfigError for values that make no sense.
    """

    def __init__(
        self,
        activation: ActivationKind = "moving_average",
        keep: list[str] | None = None,
        bits: int = 8,
        rate: float = 0.9,
        calibrate: int = 256,
        epochs: int = 1,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        set: dict[str, Any] | None = None,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, got '{activation}'")
        if bits != 8:
            raise ConfigError(f"bits must be 8, the only size that oneDNN and TensorRT have kernels for, got {bits}")
        if not 0 <= rate < 1:
            raise ConfigError(f"rate must be at least 0 and below 1, got {rate}")
        if calibrate < 1:
            raise ConfigError(f"calibrate must be at least 1 row, got {calibrate}: ranges begin with real rows")
        if epochs < 1:
            raise ConfigError(
                f"epochs must be at least 1, got {epochs}; without training, export with --precision int8"
            )
        self.activation, self.rate, self.calibrate = activation, rate, calibrate
        self.keep = list(keep or [])
        self.training = Training(epochs, max_steps, learning_rate, set)

    def apply(self, model: Any, context: Context) -> Compressed:
        """Put the rounding in, find the first ranges, train."""
        layers, left = self._choose(model, context.sample)
        before = context.evaluate(model, rows=EVALUATED)
        arguments = {"layers": layers, "activation": self.activation, "rate": self.rate}
        record = _transformed(model, arguments)
        rows = _observe(model, context, self.calibrate)
        context.say(f"qat: {len(layers)} layers in 8 bits, ranges begin with {rows} rows; in float32: {_told(left)}")
        rounded = context.evaluate(model, rows=EVALUATED)
        trained = context.train(model, self.training, [record])
        ranges = {name: layer.quantiser.range() for name, layer in fake_quantised_layers(model).items()}
        report = {
            "activation": self.activation, "bits": 8, "calibrated_rows": rows, "int8": ranges, "float32": left,
            "metrics_before": before, "metrics_rounded": rounded, "training": trained,
        }  # fmt: skip
        return Compressed([record], report)

    def _choose(self, model: Any, sample: Batch) -> tuple[list[str], dict[str, str]]:
        """The layers to round, and why others stay in float32. Raises CompressError where none is left."""
        rounded = fake_quantised_layers(model)
        if rounded:
            raise CompressError(
                f"the model is trained in 8 bits already ({next(iter(rounded))} and {len(rounded) - 1} more); train on "
                "with the step finetune"
            )
        layers = dict(model.named_sublayers())
        able = [name for name, layer in layers.items() if type(layer) in QUANTISED]
        for pattern in self.keep:
            if not any(fnmatchcase(name, pattern) for name in able):
                raise CompressError(
                    f"keep: '{pattern}' matches no convolution and no linear layer{did_you_mean(pattern, able)}"
                )
        ran = _layers_that_run(model, sample)
        chosen, left = [], {name: FLOAT[type(layer)] for name, layer in layers.items() if type(layer) in FLOAT}
        for name in able:
            if any(fnmatchcase(name, pattern) for pattern in self.keep):
                left[name] = "kept"
            elif getattr(layers[name], "_padding_mode", "zeros") != "zeros":
                left[name] = f"padded with '{layers[name]._padding_mode}'"
            elif id(layers[name]) not in ran:
                left[name] = "its weight is read without calling it"
            else:
                chosen.append(name)
        if not chosen:
            raise CompressError(
                f"no layer is left for 8 bits: {_told(left) or 'there are no convolutions or linear ones'}"
            )
        return chosen, left


def _layers_that_run(model: Any, sample: Batch) -> set[int]:
    """Those whose forward is called, by identity."""
    ran: set[int] = set()
    handles = [
        layer.register_forward_post_hook(lambda layer, inputs, output: ran.add(id(layer)))
        for layer in model.sublayers()
        if type(layer) in QUANTISED
    ]
    was_training = model.training
    model.eval()
    try:
        with paddle.no_grad():
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
        if was_training:
            model.train()
    return ran


def _transformed(model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Change the model; returns what a manifest keeps."""
    before = set(model.state_dict())
    FakeQuantisation(**arguments)(model)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items() if name not in before}
    return {"name": "qat", "args": arguments, "shapes": shapes}


def _observe(model: Any, context: Context, rows: int) -> int:
    """Find the first ranges; returns the number of rows. Raises CompressError where a layer saw none of them."""
    model.eval()
    seen = 0
    with observing(model), paddle.no_grad():
        for batch in context.batches("train", rows):
            model(batch)
            seen += len(next(iter(batch.values())))
    return seen


def _told(left: dict[str, str]) -> str:
    return ", ".join(f"{name} ({why})" for name, why in left.items()) or "nothing else"
