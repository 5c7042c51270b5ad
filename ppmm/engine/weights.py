"""Models and optimizers <-> named arrays, checked name by name and shape by shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle

from ppmm.errors import CheckpointError
from ppmm.registry import did_you_mean

__all__ = ["load_model", "load_optimizer", "model_arrays", "optimizer_arrays"]

SEPARATOR = "|"
"""Between a parameter's structured name and the name of an optimizer's array for it."""


def model_arrays(model: Any) -> dict[str, np.ndarray]:
    """Parameters and buffers by structured name."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def load_model(model: Any, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Copy ``arrays`` into ``model``.

    Raises CheckpointError when a name is missing or left over, or a shape differs: nothing is copied then.
    """
    own = model.state_dict()
    problems = [f"missing {name}{did_you_mean(name, set(arrays) - set(own))}" for name in own if name not in arrays]
    problems += [f"left over {name}" for name in arrays if name not in own]
    problems += [
        f"{name} is {list(arrays[name].shape)} there and {own[name].shape} here"
        for name in own
        if name in arrays and list(arrays[name].shape) != list(own[name].shape)
    ]
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise CheckpointError(f"{source} is of another architecture: {'; '.join(problems[:5])}{more}")
    model.set_state_dict({name: paddle.to_tensor(array) for name, array in arrays.items()})


def optimizer_arrays(model: Any, optimizer: Any) -> dict[str, np.ndarray]:
    """Optimizer state by structured parameter name, ``<parameter>|<array>``.

    Paddle keys it by names from a counter of the process (``linear_7.w_0_moment1_0``), which differ in another one.
    """
    names = {parameter.name: name for name, parameter in model.named_parameters()}
    by_length = sorted(names, key=len, reverse=True)
    arrays = {}
    for key, tensor in optimizer.state_dict().items():
        owner = next((name for name in by_length if key.startswith(f"{name}_")), None)
        if owner is not None and hasattr(tensor, "numpy"):
            arrays[f"{names[owner]}{SEPARATOR}{key[len(owner) + 1 :]}"] = tensor.numpy()
    return arrays


def load_optimizer(model: Any, optimizer: Any, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """The inverse of `optimizer_arrays`. Raises CheckpointError when a trained parameter would lose its state."""
    names = {name: parameter.name for name, parameter in model.named_parameters()}
    state = {}
    seen: dict[str, set[str]] = {}
    for key, array in arrays.items():
        name, _, kind = key.rpartition(SEPARATOR)
        if name not in names:
            raise CheckpointError(f"{source}: optimizer state of '{name}', which this model does not have")
        seen.setdefault(kind, set()).add(name)
        state[f"{names[name]}_{kind}"] = paddle.to_tensor(array)
    trained = {name for name, parameter in model.named_parameters() if not parameter.stop_gradient}
    for kind, having in seen.items():
        if trained - having:
            raise CheckpointError(f"{source}: no {kind} for {sorted(trained - having)[0]}; it was not saved whole")
    optimizer.set_state_dict(state)
