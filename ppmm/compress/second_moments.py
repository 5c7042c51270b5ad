"""What the inputs of layers look like: E[x x'], so that a matrix can be approximated where its inputs are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import paddle
from paddle import nn

from ppmm.errors import CompressError
from ppmm.types import Batch

__all__ = ["measure_moments"]

Measure = Callable[[Any, Any], np.ndarray]


def measure_moments(model: nn.Layer, layers: Mapping[str, Any], batches: Iterable[Batch]) -> dict[str, np.ndarray]:
    """Sums of x x' over all that each layer is given in evaluation.

    Returns:
        By name: [in,in] float64 of a linear layer or a 1x1 convolution, [tokens] counts of an embedding. Other
        convolutions are left out, as are layers that were not reached.

    Raises CompressError without batches, or for inputs that are not finite.
    """
    sums: dict[str, np.ndarray] = {}
    handles = []
    for name, layer in layers.items():
        measure = _measure_of(layer)
        if measure is not None:
            handles.append(layer.register_forward_pre_hook(_noting(sums, name, measure)))
    was_training, count = model.training, 0
    try:
        model.eval()
        with paddle.no_grad():
            for batch in batches:
                model(batch)
                count += 1
    finally:
        for handle in handles:
            handle.remove()
        if was_training:
            model.train()
    if not count:
        raise CompressError("data_aware: there is no batch to measure the inputs of the layers on")
    for name, moments in sums.items():
        if not np.isfinite(moments).all():
            raise CompressError(f"data_aware: the inputs of {name} are not finite")
    return sums


def _noting(sums: dict[str, np.ndarray], name: str, measure: Measure) -> Any:
    def note(layer: Any, inputs: Any) -> None:
        found = measure(layer, inputs[0])
        sums[name] = sums[name] + found if name in sums else found

    return note


def _measure_of(layer: Any) -> Measure | None:
    if isinstance(layer, nn.Embedding):
        return lambda own, ids: np.bincount(ids.numpy().ravel(), minlength=own.weight.shape[0]).astype(np.float64)
    if isinstance(layer, nn.Conv2D):
        return _of_pixels if layer.weight.shape[2:] == [1, 1] and layer._data_format == "NCHW" else None
    return lambda own, x: _of_rows(x.numpy().reshape(-1, x.shape[-1]))


def _of_pixels(layer: Any, x: Any) -> np.ndarray:
    """Padding and stride of a 1x1 convolution only choose among the pixels: all are taken."""
    return _of_rows(x.numpy().transpose(0, 2, 3, 1).reshape(-1, x.shape[1]))


def _of_rows(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows.T @ rows
