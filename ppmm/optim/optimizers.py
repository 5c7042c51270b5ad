"""Recipes for Paddle's optimizers: parameters, a schedule and a clip -> an optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import paddle
from paddle import Tensor

from ppmm.optim.groups import ParameterGroup, ParameterRules, decayed
from ppmm.registry import OPTIMIZERS

CHUNK = 65536
"""Numbers that a block of the fused operator takes."""

__all__ = ["SGD", "AdamW", "Lamb", "decayed"]


@OPTIMIZERS.register("adamw")
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), not applied to biases and norms.

    Args:
        learning_rate: the peak; a schedule multiplies it.
        weight_decay: coefficient of the decay.
        beta1, beta2, epsilon: as in Adam.
        no_decay: patterns of further parameters without weight decay, such as ``"*position*"`` or
            ``"encoders.text.embedding.*"``; each must match something.
        groups: factors on the learning rate and weight decay by pattern; see `ParameterGroup`.
        layer_decay: factor from each layer of an encoder to the one before it, such as 0.75; see
            `ppmm.optim.layer_depth`.
        fused: one operator for all parameters of the same rate and decay: fewer launches on a GPU. The weights are the
            same; on a CPU it is no faster.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        no_decay: list[str] | None = None,
        groups: list[ParameterGroup] | None = None,
        layer_decay: float | None = None,
        fused: bool = False,
    ) -> None:
        _positive(learning_rate)
        _check_adam(beta1, beta2, epsilon)
        self.learning_rate = learning_rate
        self.rules = ParameterRules(weight_decay, no_decay, groups, layer_decay)
        self.beta1, self.beta2, self.epsilon, self.fused = beta1, beta2, epsilon, fused

    def build(
        self, named_parameters: Sequence[tuple[str, Tensor]], schedule: Any, clip: Any = None
    ) -> paddle.optimizer.Optimizer:
        treatments = self.rules.apply(named_parameters)
        kind = FusedAdamW if self.fused else DecayingAdamW
        return kind(
            {parameter.name: treatments[name].decay for name, parameter in named_parameters},
            learning_rate=schedule,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            parameters=[parameter for _, parameter in named_parameters],
            grad_clip=clip,
        )


class DecayingAdamW(paddle.optimizer.AdamW):  # type: ignore[misc]
    """AdamW with a weight decay for each parameter.

    Paddle's parameter groups could do it too, but would clip the gradients of each group by its own norm.

    Args:
        decays: by Paddle's name of the parameter.
        arguments: of Paddle's AdamW.
    """

    def __init__(self, decays: Mapping[str, float], **arguments: Any) -> None:
        super().__init__(weight_decay=0.0, apply_decay_param_fun=lambda name: decays[name] > 0, **arguments)
        self.decays = dict(decays)

    def _append_optimize_op(self, block: Any, param_and_grad: Any) -> Any:
        self._weight_decay = self.decays[param_and_grad[0].name]
        return super()._append_optimize_op(block, param_and_grad)


class FusedAdamW(DecayingAdamW):
    """The same with one operator for each set of parameters that have rate and decay in common."""

    def __init__(self, decays: Mapping[str, float], **arguments: Any) -> None:
        super().__init__(decays, **arguments)
        self.waiting: list[tuple[Any, Any]] = []

    def _append_optimize_op(self, block: Any, param_and_grad: Any) -> Any:
        self.waiting.append(param_and_grad)

    def _finish_update(self, block: Any, parameters_and_grads: Any) -> None:
        waiting, self.waiting = self.waiting, []
        alike: dict[tuple[float, float], list[tuple[Any, Any]]] = {}
        for parameter, gradient in waiting:
            key = self.decays[parameter.name], float(parameter.optimize_attr["learning_rate"])
            alike.setdefault(key, []).append((parameter, gradient))
        for (decay, _), pairs in alike.items():
            self._update_together(pairs, decay)

    def _update_together(self, pairs: Sequence[tuple[Any, Any]], decay: float) -> None:
        parameters, gradients = (list(part) for part in zip(*pairs, strict=True))
        kinds = self._moment1_acc_str, self._moment2_acc_str, self._beta1_pow_acc_str, self._beta2_pow_acc_str
        first, second, power1, power2 = (
            [self._get_accumulator_master(kind, parameter) for parameter in parameters] for kind in kinds
        )
        paddle._C_ops.fused_adam_(
            parameters, gradients, self._create_param_lr(pairs[0]), first, second, None, power1, power2, None, None,
            self._beta1, self._beta2, self._epsilon, CHUNK, decay, True, False, False, False,
        )  # fmt: skip


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
        groups: factors on the learning rate and weight decay by pattern; see `ParameterGroup`.
        layer_decay: factor from each layer of an encoder to the one before it, such as 0.75; see
            `ppmm.optim.layer_depth`.
    """

    def __init__(
        self,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 1e-4,
        no_decay: list[str] | None = None,
        groups: list[ParameterGroup] | None = None,
        layer_decay: float | None = None,
    ) -> None:
        _positive(learning_rate)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.learning_rate = learning_rate
        self.rules = ParameterRules(weight_decay, no_decay, groups, layer_decay)
        self.momentum, self.nesterov = momentum, nesterov

    def build(
        self, named_parameters: Sequence[tuple[str, Tensor]], schedule: Any, clip: Any = None
    ) -> paddle.optimizer.Optimizer:
        treatments = self.rules.apply(named_parameters)
        for name, parameter in named_parameters:  # not parameter groups: Paddle would clip each group by its own norm
            parameter.regularizer = paddle.regularizer.L2Decay(treatments[name].decay)
        return paddle.optimizer.Momentum(
            learning_rate=schedule,
            momentum=self.momentum,
            parameters=[parameter for _, parameter in named_parameters],
            use_nesterov=self.nesterov,
            grad_clip=clip,
        )


@OPTIMIZERS.register("lamb")
class Lamb:
    """Adam whose step has, for each matrix or kernel, the norm of its weights (You et al. 2020, algorithm 2).

    Made for batches of thousands of rows, where one rate does not fit all layers. Biases, norms and whatever else does
    not decay take the plain step of Adam (Paddle's rule), so ``weight_decay: 0`` makes it Adam.

    Args:
        learning_rate: the peak; a schedule multiplies it. It is relative to the norm of the weights: 0.001 to 0.02.
        weight_decay: coefficient of the decay.
        beta1, beta2, epsilon: as in Adam.
        no_decay: patterns of further parameters without weight decay, such as ``"*position*"`` or
            ``"encoders.text.embedding.*"``; each must match something.
        groups: factors on the learning rate and weight decay by pattern; see `ParameterGroup`.
        layer_decay: factor from each layer of an encoder to the one before it, such as 0.75; see
            `ppmm.optim.layer_depth`.
    """

    def __init__(
        self,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        no_decay: list[str] | None = None,
        groups: list[ParameterGroup] | None = None,
        layer_decay: float | None = None,
    ) -> None:
        _positive(learning_rate)
        _check_adam(beta1, beta2, epsilon)
        self.learning_rate = learning_rate
        self.rules = ParameterRules(weight_decay, no_decay, groups, layer_decay)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def build(
        self, named_parameters: Sequence[tuple[str, Tensor]], schedule: Any, clip: Any = None
    ) -> paddle.optimizer.Optimizer:
        treatments = self.rules.apply(named_parameters)
        return DecayingLamb(
            {parameter.name: treatments[name].decay for name, parameter in named_parameters},
            learning_rate=schedule,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            parameters=[parameter for _, parameter in named_parameters],
            grad_clip=clip,
        )


class DecayingLamb(paddle.optimizer.Lamb):  # type: ignore[misc]
    """Lamb with a weight decay for each parameter, as `DecayingAdamW`."""

    def __init__(self, decays: Mapping[str, float], **arguments: Any) -> None:
        super().__init__(lamb_weight_decay=0.0, **arguments)
        self.decays = dict(decays)

    def _append_optimize_op(self, block: Any, param_and_grad: Any) -> Any:
        self._lamb_weight_decay = self.decays[param_and_grad[0].name]
        return super()._append_optimize_op(block, param_and_grad)


def _positive(learning_rate: float) -> None:
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be above 0, got {learning_rate}")


def _check_adam(beta1: float, beta2: float, epsilon: float) -> None:
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and epsilon > 0):
        raise ValueError(f"beta1 and beta2 must be in [0, 1) and epsilon above 0; got {beta1}, {beta2}, {epsilon}")
