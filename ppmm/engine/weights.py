"""Models and optimizers <-> named arrays, checked name by name and shape by shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle

from ppmm.errors import CheckpointError
from ppmm.registry import did_you_mean

__all__ = [
    "load_model",
    "load_optimizer",
    "model_arrays",
    "optimizer_arrays",
    "running_statistics",
    "trained_parameters",
]

SEPARATOR = "|"
"""Between a parameter's structured name and the name of an optimizer's array for it."""
NUMBER = re.compile(r"_\d+$")
"""At the end of Paddle's name of an optimizer's array: ``moment1_0``."""
OBJECTIVE = "objective."
"""Before the names of an objective's parameters."""


def trained_parameters(model: Any, objective: Any = None) -> list[tuple[str, Any]]:
    """What an optimizer is built over, by structured name: of the model, then of an objective that is a Layer."""
    named = list(model.named_parameters())
    if isinstance(objective, paddle.nn.Layer):
        named += [(f"{OBJECTIVE}{name}", parameter) for name, parameter in objective.named_parameters()]
    return named


def running_statistics(model: Any) -> list[Any]:
    """What forward passes change: float buffers, and the moments of batch norms, which Paddle calls parameters."""
    if not isinstance(model, paddle.nn.Layer):
        return []
    norms = [layer for layer in model.sublayers(include_self=True) if hasattr(layer, "_mean")]
    found = [getattr(norm, name) for norm in norms for name in ("_mean", "_variance") if hasattr(norm, name)]
    found += [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    return list({id(tensor): tensor for tensor in found}.values())


def model_arrays(model: Any) -> dict[str, np.ndarray]:
    """Parameters and buffers by structured name; none of an objective that is no Layer."""
    if not isinstance(model, paddle.nn.Layer):
        return {}
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def load_model(model: Any, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Copy ``arrays`` into ``model`` (or an objective).

    Raises CheckpointError when a name is missing or left over, or a shape or type differs: nothing is copied then.
    """
    own = model.state_dict() if isinstance(model, paddle.nn.Layer) else {}
    problems = [f"missing {name}{did_you_mean(name, set(arrays) - set(own))}" for name in own if name not in arrays]
    problems += [f"left over {name}" for name in arrays if name not in own]
    problems += [
        f"{name} is {_form(arrays[name])} there and {_form(own[name])} here"
        for name in own
        if name in arrays and _form(arrays[name]) != _form(own[name])
    ]
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise CheckpointError(f"{source} is of another architecture: {'; '.join(problems[:5])}{more}")
    if own:
        model.set_state_dict({name: paddle.to_tensor(array) for name, array in arrays.items()})


def optimizer_arrays(model: Any, optimizer: Any, objective: Any = None) -> dict[str, np.ndarray]:
    """Optimizer state as ``<structured parameter name>|<kind>``, such as ``head.weight|moment1``.

    That of an objective's parameters is in it. Paddle keys it by counters of the process
    (``linear_7.w_0_moment1_0``), which differ in another one.
    """
    return {key: tensor.numpy() for key, tensor in _state(trained_parameters(model, objective), optimizer).items()}


def load_optimizer(
    model: Any, optimizer: Any, arrays: Mapping[str, np.ndarray], source: str, objective: Any = None
) -> None:
    """The inverse of `optimizer_arrays`. Raises CheckpointError when a parameter would lose part of its state."""
    parameters = dict(trained_parameters(model, objective))
    arrays = {NUMBER.sub("", key): array for key, array in arrays.items()}  # the first checkpoints had Paddle's number
    kinds: dict[str, set[str]] = {}
    for key in arrays:
        name, _, kind = key.rpartition(SEPARATOR)
        if name not in parameters:
            raise CheckpointError(f"{source}: optimizer state of '{name}', which this model does not have")
        kinds.setdefault(name, set()).add(kind)
    whole = set().union(*kinds.values())
    owns = getattr(optimizer, "owns", None)
    if owns is not None:  # others keep the rest
        kinds = {name: having for name, having in kinds.items() if owns(name)}
        arrays = {key: array for key, array in arrays.items() if owns(key.rpartition(SEPARATOR)[0])}
    for name, having in kinds.items():  # a parameter that never had a gradient has no state at all
        if having != whole:
            raise CheckpointError(f"{source}: no {sorted(whole - having)[0]} for {name}; it was not saved whole")
    # Paddle makes the arrays at the first step, under names that cannot be known before: make them now.
    block = paddle.base.framework.default_main_program().global_block()
    optimizer._create_accumulators(block, [parameters[name] for name in kinds])
    state = _state(list(parameters.items()), optimizer)
    for key, array in arrays.items():
        if key not in state or _form(state[key]) != _form(array):
            raise CheckpointError(f"{source}: the optimizer's {key} does not fit this optimizer; was it another one?")
        state[key].set_value(array)


def _state(named_parameters: list[tuple[str, Any]], optimizer: Any) -> dict[str, Any]:
    """Tensors of the optimizer by structured name and kind."""
    names = {parameter.name: name for name, parameter in named_parameters}
    by_length = sorted(names, key=len, reverse=True)
    state = {}
    for key, tensor in optimizer.state_dict().items():
        owner = next((name for name in by_length if key.startswith(f"{name}_")), None)
        if owner is not None and hasattr(tensor, "numpy"):
            kind = NUMBER.sub("", key[len(owner) + 1 :])
            state[f"{names[owner]}{SEPARATOR}{kind}"] = tensor
    return state


def _form(array: Any) -> str:
    """Shape and type of an array or tensor, as text."""
    return f"{list(array.shape)} {str(array.dtype).removeprefix('paddle.')}"
