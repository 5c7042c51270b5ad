"""What batch norms have counted: which layers, and how to count anew for weights that were not trained as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

import paddle

from ppmm.types import Batch

__all__ = ["batch_norms", "counted", "recompute_statistics"]


def batch_norms(model: Any) -> list[Any]:
    """The layers that count statistics of batches."""
    return [layer for layer in model.sublayers() if hasattr(layer, "_mean") and hasattr(layer, "_variance")]


def counted(model: Any) -> list[Any]:
    """What a forward pass in training mode changes: statistics (parameters in Paddle, which never learn), buffers."""
    statistics = [tensor for norm in batch_norms(model) for tensor in (norm._mean, norm._variance)]
    return statistics + [buffer for buffer in model.buffers() if buffer._is_initialized()]  # recurrent layers' is not


def recompute_statistics(model: Any, batches: Iterable[Batch], most: int, resting: Collection[Any] = ()) -> int:
    """Make running means and variances the mean of those of the first ``most`` batches; returns how many were read.

    Only batch norms are in training mode meanwhile, so that nothing is random (Izmailov et al. 2018, section 3.2).

    Args:
        model: whose weights are new.
        batches: of training; an empty one, of which other processes have the rows, is passed over.
        most: of them.
        resting: layers that keep what they have counted, such as the batch norms of a frozen encoder.
    """
    asleep = {id(layer) for layer in resting}
    norms = [norm for norm in batch_norms(model) if id(norm) not in asleep] if most else []
    if not norms:
        return 0
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    buffers = [(buffer, norm._momentum) for norm in norms for buffer in (norm._mean, norm._variance)]
    sums = [paddle.zeros_like(buffer) for buffer, _ in buffers]
    read = 0
    model.eval()
    for norm in norms:
        norm.train()
    try:
        with paddle.no_grad():
            for batch in islice(batches, most):
                if not batch:
                    continue
                for buffer, _ in buffers:
                    buffer.set_value(paddle.zeros_like(buffer))
                model(batch)  # with no statistics before, it leaves (1 - momentum) of the batch's own
                sums = [total + buffer / (1.0 - kept) for total, (buffer, kept) in zip(sums, buffers, strict=True)]
                read += 1
            for (buffer, _), total in zip(buffers, sums, strict=True) if read else ():
                buffer.set_value(total / read)
    finally:
        for layer, training in modes:
            layer.training = training
    return read
