"""Gradients of the loss over some batches, for criteria that ask what a change of a weight would cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppmm.compress.promises import restored_state
from ppmm.errors import CompressError
from ppmm.types import Batch, Objective

__all__ = ["Gradients", "gradients_of"]


class Gradients(NamedTuple):
    """By structured name: means over the batches of the gradient, and of its square."""

    means: dict[str, np.ndarray]
    squares: dict[str, np.ndarray]


def gradients_of(model: nn.Layer, objective: Objective, batches: Iterable[Batch], seed: int | None = None) -> Gradients:
    """Gradients in training mode; the model is left as it was. Zeros where a parameter had none.
    ``seed`` decides what dropout draws.

    Raises CompressError without batches, or where the loss is not finite.
    """
    parameters = dict(model.named_parameters())
    means = {name: np.zeros(parameter.shape) for name, parameter in parameters.items()}
    squares = {name: np.zeros(parameter.shape) for name, parameter in parameters.items()}
    count = 0
    with restored_state(model):
        if seed is not None:
            paddle.seed(seed)
        model.train()
        for batch in batches:
            loss: Any = objective(model(batch), batch)["loss"]
            if not np.isfinite(float(loss)):
                raise CompressError(f"the loss of batch {count} is {float(loss)}: no gradient can be taken of it")
            loss.backward()
            count += 1
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    gradient = parameter.grad.numpy().astype(np.float64)
                    means[name] += gradient
                    squares[name] += gradient**2
                parameter.clear_gradient(False)
    if not count:
        raise CompressError("gradients: there is no batch to take them from")
    return Gradients(*({name: total / count for name, total in totals.items()} for totals in (means, squares)))
