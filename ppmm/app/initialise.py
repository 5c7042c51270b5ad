"""Before training starts: layers that begin from data (k-means centres) get what they would see of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ppmm.engine.batch_statistics import batch_norms

__all__ = ["initialise"]

BATCHES, MOST_ROWS = 16, 4096


def initialise(model: Any, loader: Any, seed: int = 0) -> list[str]:
    """Call ``init_from(inputs)`` of every sublayer that has it; returns their names.

    ``inputs`` is the first argument that the layer gets, concatenated over the first batches of epoch 0 (as many as
    give `MOST_ROWS` rows, at most `BATCHES`). Nothing else of the model changes: dropout is off, batch norms use the
    statistics of each batch as in training, but keep none. Layers are initialised in the order of the model; a layer
    sees the model as it was before any of them was.

    Args:
        model: Batch -> Outputs.
        loader: the training batches.
        seed: equal seeds give equal weights.
    """
    import paddle

    wanted = {name: layer for name, layer in model.named_sublayers() if callable(getattr(layer, "init_from", None))}
    if not wanted:
        return []
    seen: dict[str, list[Any]] = {name: [] for name in wanted}
    hooks = [layer.register_forward_pre_hook(_keeper(seen[name])) for name, layer in wanted.items()]
    training = model.training
    norms = batch_norms(model)
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in (norm._mean, norm._variance)]
    paddle.seed(seed)
    try:
        model.eval()
        for norm in norms:
            norm.train()
        batches = min(BATCHES, -(-MOST_ROWS // loader.batch_size))
        with paddle.no_grad():
            for batch in itertools.islice(loader.epoch(0, 0), batches):
                model(batch)
            for name, layer in wanted.items():
                if seen[name]:
                    layer.init_from(paddle.concat(seen[name]))
    finally:
        for hook in hooks:
            hook.remove()
        for buffer, value in kept:
            buffer.set_value(value)
        model.train() if training else model.eval()
    return [name for name in wanted if seen[name]]


def _keeper(inputs: list[Any]) -> Callable[[Any, Any], None]:
    def keep(layer: Any, arguments: Any) -> None:
        inputs.append(arguments[0].detach())

    return keep
