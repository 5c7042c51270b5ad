"""How much the outputs of a graph change when one of its layers alone is quantised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppmm.compress.quantised_graph import ACTIVATIONS, FILTERS, Layer, weighted_layers

__all__ = ["layer_errors"]


def layer_errors(ptq: Any, batch: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Weight of each quantised layer -> mean squared change of the outputs, as a share of their variance.

    Args:
        ptq: a finished calibration, with ``fp32_weights``.
        batch: the graph's inputs.
    """
    import paddle

    program, scope = ptq._program, ptq._scope
    layers = weighted_layers(program, tuple(FILTERS), quantised=True)
    for layer in layers:
        twin = program.global_block().create_var(
            name=_twin(layer.weight), shape=ptq.fp32_weights[layer.weight].shape, dtype="float32", persistable=True
        )
        scope.var(twin.name).get_tensor().set(ptq.fp32_weights[layer.weight], paddle.CPUPlace())
    names = [variable.name for variable in ptq._fetch_list]
    feed = {name: batch[name] for name in ptq._feed_list}

    def outputs(quantised: str | None) -> np.ndarray:
        trial = _unquantised(program, quantised)
        with paddle.static.scope_guard(scope):
            found = ptq._executor.run(trial, feed=feed, fetch_list=names, scope=scope)
        return np.concatenate([np.asarray(array, np.float64).ravel() for array in found])

    exact = outputs(None)
    spread = float(exact.var()) or 1.0
    return {layer.weight: float(np.square(outputs(layer.weight) - exact).mean()) / spread for layer in layers}


def _unquantised(program: Any, but: str | None) -> Any:
    """A copy of the program in which every layer but one reads float32."""
    trial = program.clone()
    block = trial.global_block()
    produced = {name: op for op in block.ops for name in op.output_arg_names}
    for layer in weighted_layers(trial, tuple(FILTERS), quantised=True):
        if layer.weight != but:
            _read_float32(layer, produced)
    return trial


def _read_float32(layer: Layer, produced: Mapping[str, Any]) -> None:
    layer.op._rename_input(layer.op.input(FILTERS[layer.operator])[0], _twin(layer.weight))
    activation = layer.op.input(ACTIVATIONS[layer.operator])[0]
    dequantise = produced.get(activation)
    if dequantise is not None and dequantise.type == "dequantize_linear":
        quantise = produced[dequantise.input("X")[0]]
        layer.op._rename_input(activation, quantise.input("X")[0])


def _twin(weight: str) -> str:
    return f"{weight}.fp32"
