"""A graph in the old IR with the ranges of quantisation-aware training; runs in `old_ir_worker` only.

Batch norms are folded into convolutions first. That changes nothing of the rounding: a weight's range is found for each
output channel, and folding multiplies whole output channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle

from ppmm.compress.calibration import OPERATORS, left_in_float32
from ppmm.compress.quantised_graph import (
    Layer,
    drop_call_stacks,
    weighted_layers,
)
from ppmm.errors import CompressError

__all__ = ["trained_ranges"]

LEAST = 1e-6
"""Of a weight's range, as in training: a channel of zeros divides nothing by zero."""


def trained_ranges(request: Mapping[str, Any]) -> dict[str, Any]:
    """Quantise the graph of a request of `quantise_with_ranges`; returns its report. Raises CompressError."""
    paddle.enable_static()
    ranges, names = request["ranges"], request["names"]
    ptq = _quantised(request["files"], ranges, names)
    prefix = Path(request["prefix"])
    drop_call_stacks(ptq._program)
    with paddle.static.scope_guard(ptq._scope):
        ptq.save_quantized_model(str(prefix.parent), model_filename=prefix.name)
    return {
        "layers": [_described(layer, ptq.input_ranges, ranges, names) for layer in ptq.layers],
        "fp32_operators": left_in_float32(ptq._program),
    }


def _described(
    layer: Layer,
    inputs: Mapping[str, float],
    ranges: Mapping[str, float],
    names: Mapping[str, str],
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": names.get(layer.weight, layer.weight), "operator": layer.operator}
    if layer.weight not in ranges:
        return {**found, "precision": "fp32"}
    used, trained = inputs[layer.activation], ranges[layer.weight]
    other = {"trained": trained} if abs(used - trained) > 1e-6 * used else {}
    return {**found, "precision": "int8", "range": used, **other}


def _quantised(files: list[str], ranges: Mapping[str, float], names: Mapping[str, str]) -> Any:
    """The object whose ``_program`` is quantised."""
    from paddle.static.quantization import PostTrainingQuantization
    from paddle.static.quantization.quant_config import BaseQuantizer

    class OnlyInputs(BaseQuantizer):  # type: ignore[misc]
        """Scales where a quantised layer reads, and nowhere else."""

        observer_operation_types: ClassVar[list[str]] = []

    class WithRanges(PostTrainingQuantization):  # type: ignore[misc]
        """Paddle's quantisation of a graph, without its sampling: the ranges are given."""

        fp32_weights: dict[str, np.ndarray]
        input_ranges: dict[str, float]
        layers: list[Layer]

        def _load_model_data(self) -> None:
            super()._load_model_data()
            self.layers = weighted_layers(self._program, OPERATORS)
            there = {layer.weight for layer in self.layers}
            lost = [names.get(weight, weight) for weight in ranges if weight not in there]
            if lost:
                raise CompressError(
                    f"the exported graph has no operator of {', '.join(lost)}, which was trained in 8 bits"
                )
            chosen = {id(layer.op): layer for layer in self.layers if layer.weight in ranges}
            self.fp32_weights = {
                layer.weight: np.array(self._scope.find_var(layer.weight).get_tensor()) for layer in chosen.values()
            }
            self.input_ranges = {}
            for layer in chosen.values():
                known = self.input_ranges.get(layer.activation, 0.0)
                self.input_ranges[layer.activation] = max(known, ranges[layer.weight])
            for op in self._program.global_block().ops:
                if op.type in OPERATORS and id(op) not in chosen:
                    op._set_attr("op_namescope", "skip_quant")

        def _set_activation_persistable(self) -> None:
            """Nothing is sampled, so no activation is kept."""

        def _reset_activation_persistable(self) -> None:
            """None was kept."""

        def _update_program(self) -> None:
            operators = {layer.weight: layer.operator for layer in self.layers}
            bounds = {name: _largest(array, operators[name]) for name, array in self.fp32_weights.items()}
            self._scale_dict = {**self.input_ranges, **bounds}
            super()._update_program()

        def _save_output_threshold(self) -> None:
            """Nobody knows the ranges of outputs that no quantised layer reads."""

    model, params = (Path(path) for path in files)
    scope = paddle.static.Scope()
    with paddle.static.scope_guard(scope):
        ptq = WithRanges(
            executor=paddle.static.Executor(paddle.CPUPlace()), scope=scope, model_dir=str(model.parent),
            model_filename=model.name, params_filename=params.name, data_loader=_NoBatches(), batch_size=1,
            algo="abs_max", quantizable_op_type=list(OPERATORS), weight_quantize_type="channel_wise_abs_max",
            onnx_format=True, optimize_model=True,
        )  # fmt: skip
        ptq.quant_config = OnlyInputs(quantizable_op_type=list(OPERATORS), quant_bits=8)
        ptq.quantize()
    return ptq


def _largest(weight: np.ndarray, operator: str) -> np.ndarray:
    """Of each output channel of a filter [out,...] or a matrix [in,out]."""
    sizes = np.abs(weight if operator in ("mul", "matmul_v2") else weight.reshape(weight.shape[0], -1).T)
    return np.maximum(sizes.max(axis=0), LEAST)


class _NoBatches:
    """What Paddle's quantisation samples: nothing."""

    def __call__(self) -> Iterator[dict[str, np.ndarray]]:
        return iter(())

    def __len__(self) -> int:
        return 0
