"""LoRA on the layers that patterns name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from paddle import nn

from ppmm.errors import ConfigError
from ppmm.models.layers.lora import LoRAConv2D, LoRALinear
from ppmm.models.layers.replace import replace_layer
from ppmm.registry import TRANSFORMS, did_you_mean

__all__ = ["LoRA"]

RECURRENT = (nn.LSTM, nn.GRU, nn.SimpleRNN)


@TRANSFORMS.register("lora")
class LoRA:
    """Trains a low-rank update of layers instead of the layers (Hu et al. 2021); see `LoRALinear`.

    Linear layers get it (projections of attention are such), and convolutions in two dimensions without groups.
    Recurrent and other layers in a pattern keep their form, and everything that a pattern matches is frozen. What no
    pattern matches (a new head, say) is trained as ever.

    Args:
        match: patterns of layers' names, such as ``"encoders.text.*"`` or ``"*.attention.query"``; each must match a
            layer that can be adapted.
        rank: of the update; no more than the smaller side of each matrix.
        alpha: the update is multiplied by alpha / rank.
        dropout: on what the update sees.
        train_base: whether what the patterns match is trained as well.

    Raises ConfigError when a pattern matches no such layer, or a matrix is smaller than ``rank``.
    """

    def __init__(
        self,
        match: list[str],
        rank: int = 8,
        alpha: float = 16.0,
        dropout: float = 0.0,
        train_base: bool = False,
    ) -> None:
        if not match:
            raise ValueError('match must name layers, such as ["encoders.text.*"]')
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha must be above 0 and finite, got {alpha}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        self.match = list(match)
        self.rank, self.alpha, self.dropout = rank, alpha, dropout
        self.train_base = train_base

    def __call__(self, model: Any) -> None:
        layers = dict(model.named_sublayers())
        chosen = {name: layer for name, layer in layers.items() if _matches(name, self.match) and _fits(layer)}
        for pattern in self.match:
            if not any(fnmatchcase(name, pattern) for name in chosen):
                raise ConfigError(_no_layer(pattern, layers))
        for name, layer in layers.items():
            if isinstance(layer, LoRALinear | LoRAConv2D) and _matches(name, self.match):
                raise ConfigError(
                    f"lora: match covers {name}, which an earlier lora adapts already; narrow the patterns"
                )
        for name, layer in chosen.items():
            self._check_rank(name, layer)
        if not self.train_base:
            for name, parameter in model.named_parameters():
                owner = name.rpartition(".")[0]
                if owner in chosen or _matches(name, self.match):
                    parameter.stop_gradient = True
        for layer in chosen.values():
            kind = LoRALinear if isinstance(layer, nn.Linear) else LoRAConv2D
            replace_layer(model, layer, kind(layer, self.rank, self.alpha, self.dropout))

    def _check_rank(self, name: str, layer: Any) -> None:
        shape = layer.weight.shape
        rows, columns = shape[0], layer.weight.size // shape[0]
        if self.rank > min(rows, columns):
            raise ConfigError(
                f"lora: rank {self.rank} is larger than the {rows}x{columns} matrix of {name}; lower it, or choose "
                "other layers with match"
            )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _fits(layer: Any) -> bool:
    if type(layer) is nn.Conv2D:
        return layer._groups == 1 and layer._padding_mode == "zeros"
    return type(layer) is nn.Linear


def _no_layer(pattern: str, layers: dict[str, Any]) -> str:
    """Why nothing that ``pattern`` matches can be adapted."""
    found = {name: layer for name, layer in layers.items() if fnmatchcase(name, pattern)}
    if any(isinstance(layer, RECURRENT) for layer in found.values()):
        return f"lora: match '{pattern}' names a recurrent layer; only linear layers and convolutions can be adapted"
    if not found:
        top = [name for name in layers if name.count(".") <= 1]
        return f"lora: match '{pattern}' names no layer{did_you_mean(pattern.removesuffix('.*'), top)}"
    inside = next((name for name in found if any(_fits(part) for part in found[name].sublayers())), None)
    advice = f"write '{inside}.*' for those inside of {inside}" if inside else f"there is {_some(layers)}"
    return f"lora: match '{pattern}' names no linear layer and no convolution without groups; {advice}"


def _some(layers: dict[str, Any]) -> str:
    return ", ".join([name for name, layer in layers.items() if _fits(layer)][:5]) + ", ..."
