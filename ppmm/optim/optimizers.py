"""Recipes for Paddle's optimizers: what decays, what does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import paddle
from paddle import Tensor

from ppmm.registry import OPTIMIZERS

__all__ = ["SGD", "AdamW", "decayed"]


OBJECTIVE = "objective."
"""Before the names of what an objective learns."""


def decayed(name: str, parameter: Tensor, no_decay: Sequence[str] = ()) -> bool:
    """Whether weight decay is for a parameter: it is for matrices and kernels of the model.

    Biases and norm scales, which have one axis, are left alone, and so are what an objective learns (a temperature
    that decays goes to 1) and names that match a pattern of ``no_decay``.
    """
    listed = any(fnmatchcase(name, pattern) for pattern in no_decay)
    return len(parameter.shape) > 1 and not name.startswith(OBJECTIVE) and not listed


@OPTIMIZERS.register("adamw")
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), not applied to biases and norms.

    Args:
        learning_rate: the peak; a schedule multiplies it.
        weight_decay: coefficient of the decay.
        beta1, beta2, epsilon: as in Adam.
        no_decay: patterns of further parameters without weight decay, such as ``"*position*"`` or
            ``"encoders.text.embedding.*"``; each must match something.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        no_decay: list[str] | None = None,
    ) -> None:
        _positive(learning_rate, weight_decay)
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and epsilon > 0):
            raise ValueError(f"beta1 and beta2 must be in [0, 1) and epsilon above 0; got {beta1}, {beta2}, {epsilon}")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.no_decay = list(no_decay or [])

    def build(
        self, named_parameters: Sequence[tuple[str, Tensor]], schedule: Any, clip_norm: float | None = None
    ) -> paddle.optimizer.Optimizer:
        parameters = [parameter for _, parameter in named_parameters]
        decay = _decaying(named_parameters, self.no_decay)
        return paddle.optimizer.AdamW(
            learning_rate=schedule,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            parameters=parameters,
            weight_decay=self.weight_decay,
            apply_decay_param_fun=lambda name: name in decay,
            grad_clip=_clip(clip_norm),
        )


@OPTIMIZERS.register("sgd")
class SGD:
    """Stochastic gradient descent with momentum; weight decay (L2) not applied to biases and norms.

    Args:
        learning_rate: the peak; a schedule multiplies it.
        momentum: share of the last update that is kept.
        nesterov: look ahead.
        weight_decay: coefficient of the L2 penalty.
        no_decay: patterns of further parameters without weight decay, such as ``"*position*"`` or
            ``"encoders.text.embedding.*"``; each must match something.
    """

    def __init__(
        self,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 1e-4,
        no_decay: list[str] | None = None,
    ) -> None:
        _positive(learning_rate, weight_decay)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.momentum, self.nesterov = momentum, nesterov
        self.no_decay = list(no_decay or [])

    def build(
        self, named_parameters: Sequence[tuple[str, Tensor]], schedule: Any, clip_norm: float | None = None
    ) -> paddle.optimizer.Optimizer:
        parameters = [parameter for _, parameter in named_parameters]
        decay = _decaying(named_parameters, self.no_decay)
        for parameter in parameters:  # not parameter groups: Paddle would clip each group by its own norm
            penalty = self.weight_decay if parameter.name in decay else 0.0
            parameter.regularizer = paddle.regularizer.L2Decay(penalty)
        return paddle.optimizer.Momentum(
            learning_rate=schedule,
            momentum=self.momentum,
            parameters=parameters,
            use_nesterov=self.nesterov,
            grad_clip=_clip(clip_norm),
        )


def _decaying(named_parameters: Sequence[tuple[str, Tensor]], no_decay: Sequence[str]) -> set[str]:
    """Paddle's names of the parameters that decay. Raises ValueError for a pattern that matches none."""
    for pattern in no_decay:
        if not any(fnmatchcase(name, pattern) for name, _ in named_parameters):
            some = ", ".join(name for name, _ in named_parameters[:5])
            raise ValueError(f"no_decay: no parameter matches '{pattern}'; there are {some}, ...")
    return {parameter.name for name, parameter in named_parameters if decayed(name, parameter, no_decay)}


def _positive(learning_rate: float, weight_decay: float) -> None:
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be above 0, got {learning_rate}")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must not be negative, got {weight_decay}")


def _clip(clip_norm: float | None) -> paddle.nn.ClipGradByGlobalNorm | None:
    return None if clip_norm is None else paddle.nn.ClipGradByGlobalNorm(clip_norm)
