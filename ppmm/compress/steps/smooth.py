"""Outliers of activations moved into weights, so that INT8 can take both (SmoothQuant)."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import nn

from ppmm.compress.context import Compressed, Context
from ppmm.errors import CompressError, ConfigError
from ppmm.registry import COMPRESSORS

__all__ = ["Smooth"]

LEAST = 1e-5
SAME = 1e-4
"""Largest change of an answer, of the largest answer or 1, that counts as none."""


@COMPRESSORS.register("smooth")
class Smooth:
    """Divides each channel of a LayerNorm by s and multiplies the weights that read it by s; the answers are the same.

    s_j = max|x_j|^alpha / max|w_j|^(1 - alpha) over real rows (Xiao et al. 2023, "SmoothQuant", equation 4). A
    LayerNorm whose output is read by more than linear layers (a residual, say) is left alone; the report names it.

    Args:
        alpha: 0 leaves the difficulty with the activations, 1 moves all of it to the weights.
        rows: of the training split.

    Raises ConfigError for values that make no sense, CompressError where the model has no such pair.
    """

    def __init__(self, alpha: float = 0.5, rows: int = 256) -> None:
        if not 0 <= alpha <= 1:
            raise ConfigError(f"alpha must be from 0 to 1, got {alpha}")
        if rows < 1:
            raise ConfigError(f"rows must be at least 1, got {rows}")
        self.alpha, self.rows = alpha, rows

    def apply(self, model: Any, context: Context) -> Compressed:
        """Smooth ``model``; weights change, its form does not."""
        model.eval()
        pairs = _pairs(model, context.sample)
        if not pairs:
            raise CompressError("smooth: no LayerNorm here is followed by a linear layer; it is for Transformers")
        largest = _largest_inputs(model, pairs, context, self.rows)
        wanted = _answers(model, context.sample)
        done, left = {}, {}
        for norm, (layer, readers) in pairs.items():
            scale = _scale(largest[norm], readers, self.alpha)
            before = [tensor.numpy() for tensor in (layer.weight, layer.bias, *(one.weight for one in readers))]
            _move(layer, readers, scale)
            if _same(wanted, _answers(model, context.sample)):
                done[norm] = {"readers": len(readers), "before": float(largest[norm].max()),
                              "after": float((largest[norm] / scale).max())}  # fmt: skip
                continue
            for tensor, array in zip((layer.weight, layer.bias, *(one.weight for one in readers)), before, strict=True):
                tensor.set_value(array)
            left[norm] = "its output is read by more than linear layers"
        if not done:
            raise CompressError(f"smooth: nothing could be smoothed: {left}")
        context.say(f"smooth: {len(done)} layer norms" + (f"; left: {', '.join(left)}" if left else ""))
        return Compressed([], {"smoothed": done, "left": left, "alpha": self.alpha})


def _pairs(model: Any, sample: Any) -> dict[str, tuple[Any, list[Any]]]:
    """Name of each LayerNorm -> it and the linear layers that read its output itself."""
    norms = {name: layer for name, layer in model.named_sublayers() if isinstance(layer, nn.LayerNorm)}
    made: dict[int, tuple[str, Any]] = {}
    found: dict[str, tuple[Any, list[Any]]] = {}

    def read(layer: Any, inputs: Any) -> None:
        name, tensor = made.get(id(inputs[0]), ("", None))
        if tensor is inputs[0] and all(layer is not other for other in found.get(name, (None, []))[1]):
            found.setdefault(name, (norms[name], []))[1].append(layer)

    handles = [
        layer.register_forward_post_hook(
            lambda layer, inputs, output, name=name: made.update({id(output): (name, output)})
        )
        for name, layer in norms.items()
        if layer.weight is not None and layer.bias is not None
    ]
    handles += [layer.register_forward_pre_hook(read) for layer in model.sublayers() if isinstance(layer, nn.Linear)]
    try:
        _answers(model, sample)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _largest_inputs(model: Any, pairs: Any, context: Context, rows: int) -> dict[str, np.ndarray]:
    """Of each LayerNorm's output channels [D], the largest absolute value."""
    largest: dict[str, np.ndarray] = {}

    def see(name: str, output: Any) -> None:
        array = np.abs(output.numpy()).reshape([-1, output.shape[-1]]).max(axis=0)
        largest[name] = np.maximum(largest[name], array) if name in largest else array

    handles = [
        layer.register_forward_post_hook(lambda layer, inputs, output, name=name: see(name, output))
        for name, (layer, _) in pairs.items()
    ]
    try:
        with paddle.no_grad():
            for batch in context.batches("train", rows):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return largest


def _scale(inputs: np.ndarray, readers: Any, alpha: float) -> np.ndarray:
    """s [D]."""
    weights = np.max([np.abs(layer.weight.numpy()).max(axis=1) for layer in readers], axis=0)
    found = np.maximum(inputs, LEAST) ** alpha / np.maximum(weights, LEAST) ** (1 - alpha)
    return np.maximum(found, LEAST).astype("float32")


def _move(norm: Any, readers: Any, scale: np.ndarray) -> None:
    norm.weight.set_value(norm.weight.numpy() / scale)
    norm.bias.set_value(norm.bias.numpy() / scale)
    for layer in readers:
        layer.weight.set_value(layer.weight.numpy() * scale[:, None])


def _answers(model: Any, sample: Any) -> dict[str, np.ndarray]:
    with paddle.no_grad():
        outputs = model(sample)
    return {name: outputs[name].numpy() for name in model.outputs}


def _same(wanted: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> bool:
    return all(
        float(np.abs(found[name] - array).max(initial=0.0)) <= SAME * max(1.0, float(np.abs(array).max(initial=0.0)))
        for name, array in wanted.items()
    )
