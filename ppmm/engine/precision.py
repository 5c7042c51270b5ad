"""In which number formats a step computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.amp.amp_lists import black_list

from ppmm.engine.cpu_bfloat16 import bfloat16_products
from ppmm.engine.loss_scale import LossScale
from ppmm.environment import Cpu, cpu
from ppmm.errors import CheckpointError, ConfigError
from ppmm.types import Outputs

__all__ = ["MixedPrecision", "Precision", "make_precision"]

FULL_LAYERS = (
    nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm, nn.LayerNorm, nn.GroupNorm,
    nn.InstanceNorm1D, nn.InstanceNorm2D, nn.InstanceNorm3D, nn.layer.rnn.RNNBase, nn.RNNCellBase,
)  # fmt: skip
"""Layers whose weights stay in float32."""
FULL_OPS = frozenset({"batch_norm", "sync_batch_norm", "instance_norm", "rms_norm", "p_norm", "logsumexp", "rnn"})
"""Operators that stay in float32 beside those of Paddle's own list: at O2 that list has no norm, no softmax, no sum."""


class Precision:
    """Float32 throughout: the forward pass as it is, the gradient unscaled, the optimizer's own step."""

    def prepare(self, model: Any) -> None:
        """Tell which model `forward` is for; before the first step."""

    def forward(self) -> AbstractContextManager[Any]:
        """The context of the model's forward pass. The objective is outside of it: losses are in float32."""
        return nullcontext()

    def full(self, outputs: Outputs) -> Outputs:
        """What the model gave, as the objective gets it."""
        return outputs

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of ``loss`` to that of the parameters."""
        loss.backward()

    def update(self, optimizer: Any) -> dict[str, float]:
        """Let the optimizer take its step; returns figures for the log, the same ones every time."""
        optimizer.step()
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON values."""
        return {}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`. Raises CheckpointError when it is not of this form."""


def lay_out_channels_last(wanted: bool, device: str) -> None:
    """Let Paddle choose the layout in which a GPU's tensor cores compute convolutions (channels last), or not.

    Raises ConfigError on a CPU, where that layout is slower.
    """
    if wanted and not device.startswith("gpu"):
        raise ConfigError(
            f"channels_last: on {device} convolutions are slower so (3 x 3: 32.5 ms in NHWC, 23.0 in NCHW); it is for "
            "GPUs in bf16 or fp16"
        )
    if device.startswith("gpu"):
        from paddle.incubate import autotune

        autotune.set_config({"layout": {"enable": wanted}})


class MixedPrecision(Precision):
    """Bfloat16 or float16 where it is safe (Micikevicius et al. 2018, "Mixed Precision Training").

    The parameters themselves stay in float32: they are the master weights that optimizer, averages, checkpoints and
    evaluation see. Outputs are cast to float32 before the objective.

    Args:
        dtype: ``bfloat16`` or ``float16``; the loss of the latter is scaled, see `LossScale`.
        low_weights: give the forward pass weights of ``dtype`` (O2), except in norms and recurrent layers, and let
            operators work on ``dtype`` but for those that need range; else products and convolutions only (O1).
        device: ``cpu`` or ``gpu``; on a CPU products alone are in bfloat16, see `cpu_bfloat16`, and the weights of O2
            are rounded to it but stored in float32.
    """

    def __init__(self, dtype: str, low_weights: bool = False, device: str = "gpu") -> None:
        self.dtype = dtype
        self.low_weights = low_weights
        self.device = device
        self.scale = LossScale() if dtype == "float16" else None
        self.model: Any = None

    def prepare(self, model: Any) -> None:
        self.model = model

    @contextmanager
    def forward(self) -> Iterator[None]:
        with self._cast(), self._weights():
            yield

    def full(self, outputs: Outputs) -> Outputs:
        low = (paddle.float16, paddle.bfloat16)
        return {name: value.astype("float32") if value.dtype in low else value for name, value in outputs.items()}

    def backward(self, loss: Tensor) -> None:
        (loss if self.scale is None else self.scale.scaled(loss)).backward()

    def update(self, optimizer: Any) -> dict[str, float]:
        if self.scale is None:
            return super().update(optimizer)
        taken = self.scale.unscale(_parameters(optimizer))
        if taken:
            optimizer.step()
        return {"loss_scale": self.scale.value, "skipped": 0.0 if taken else 1.0}

    def state_dict(self) -> dict[str, Any]:
        return {} if self.scale is None else self.scale.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        if self.scale is not None:
            try:
                self.scale.load_state_dict(saved)
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(f"the checkpoint's loss scale is not of this version: {error!r}") from error

    def _cast(self) -> AbstractContextManager[Any]:
        if self.device == "cpu":
            return bfloat16_products()
        level = "O2" if self.low_weights else "O1"
        kept: Any = black_list()[self.dtype]["O1"] | FULL_OPS
        return paddle.amp.auto_cast(custom_black_list=kept, level=level, dtype=self.dtype)

    @contextmanager
    def _weights(self) -> Iterator[None]:
        """Let the layers see casts of their parameters; the gradient goes through the cast to the parameters."""
        if not self.low_weights:
            yield
            return
        assert self.model is not None, "prepare comes first"
        places = [
            (layer, name, parameter)
            for layer in self.model.sublayers(include_self=True)
            if not isinstance(layer, FULL_LAYERS)
            for name, parameter in layer._parameters.items()
            if parameter is not None and parameter.dtype == paddle.float32
        ]
        casts = {id(parameter): self._low(parameter) for _, _, parameter in places}  # once for tied weights
        for layer, name, parameter in places:
            layer._parameters[name] = casts[id(parameter)]
        try:
            yield
        finally:
            for layer, name, parameter in places:
                layer._parameters[name] = parameter

    def _low(self, parameter: Tensor) -> Tensor:
        cast = parameter.astype(self.dtype)
        return cast.astype("float32") if self.device == "cpu" else cast


def _parameters(optimizer: Any) -> list[Any]:
    """What an optimizer trains, whether it was given parameters or groups of them."""
    return [
        parameter
        for entry in optimizer._parameter_list
        for parameter in (entry["params"] if isinstance(entry, dict) else [entry])
    ]


def make_precision(name: str, device: str | None = None, processor: Cpu | None = None) -> Precision:
    """The precision of that name on a device.

    Args:
        name: ``fp32``, ``bf16``, ``bf16_o2``, ``fp16`` or ``fp16_o2``.
        device: ``cpu`` or ``gpu:0``; Paddle's current one where None.
        processor: this machine's where None.

    Raises ConfigError where the device does not compute in it: Paddle would stay in float32 without a word.
    """
    if name == "fp32":
        return Precision()
    place = (device or paddle.device.get_device()).split(":")[0]
    kind, _, level = name.partition("_")
    if place == "cpu":
        _check_cpu(name, cpu() if processor is None else processor)
    elif place == "gpu":
        _check_gpu(name, paddle.device.cuda.get_device_capability())
    else:
        raise ConfigError(f"trainer.precision: {name} is for cpu and gpu; on {place} train with fp32")
    return MixedPrecision({"bf16": "bfloat16", "fp16": "float16"}[kind], level == "o2", place)


def _check_cpu(name: str, processor: Cpu) -> None:
    if name.startswith("fp16"):
        raise ConfigError(
            f"trainer.precision: {name} needs a GPU: on a CPU Paddle would stay in float32; "
            "take bf16 (CPUs with AVX512-BF16 or AMX) or fp32"
        )
    if not processor.bf16:
        raise ConfigError(
            f"trainer.precision: {name} needs a CPU that multiplies bfloat16 (AVX512-BF16 or AMX), and "
            f"{processor.model or 'this one'} does not; take fp32"
        )


def _check_gpu(name: str, capability: tuple[int, int]) -> None:
    needed = (8, 0) if name.startswith("bf16") else (7, 0)
    if tuple(capability) < needed:
        raise ConfigError(
            f"trainer.precision: {name} needs a GPU of compute capability {needed[0]}.{needed[1]}, this one has "
            f"{capability[0]}.{capability[1]}; take {'fp16' if tuple(capability) >= (7, 0) else 'fp32'}"
        )
