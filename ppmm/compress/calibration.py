"""Static INT8 quantisation of a graph in the old IR; runs in `old_ir_worker` only.

Paddle's own calibration (``paddle.static.quantization``, what PaddleSlim's quant_post_static calls) does the measuring;
what is here chooses the layers, mends what oneDNN reads wrongly, and keeps the file small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle

from ppmm.compress.layer_errors import layer_errors
from ppmm.compress.quantised_graph import Layer, drop_call_stacks, weighted_layers
from ppmm.errors import CompressError

__all__ = ["OPERATORS", "left_in_float32", "post_training"]

OPERATORS = ("conv2d", "depthwise_conv2d", "mul", "matmul_v2")
"""What is quantised where one of its inputs is a weight."""


def post_training(request: Mapping[str, Any]) -> dict[str, Any]:
    """Quantise the graph of a request of `quantise_graph`; returns its report. Raises CompressError."""
    paddle.enable_static()
    options, names = request["options"], request["names"]
    batches = _Batches(request["calibration"])
    model, _ = (Path(path) for path in request["files"])
    layers = _layers(model, request["files"])
    if not layers:
        raise CompressError(
            f"nothing to quantise: no convolution and no Linear among the operators of {model.name}; export it in fp32 "
            "or bf16"
        )
    known = {names.get(layer.weight, layer.weight): layer.weight for layer in layers}
    for name in options["keep"]:
        if name not in known:
            raise CompressError(f"keep: no quantisable layer '{name}'; there are {', '.join(known)}")
    kept = {known[name] for name in options["keep"]}
    errors: dict[str, float] = {}
    if options["keep_worst"] or options["measure"]:
        trial = _calibrate(request["files"], batches, {**options, "bias_correction": False}, kept)
        errors = layer_errors(trial, batches.first())
        kept |= set(sorted(errors, key=lambda weight: -errors[weight])[: options["keep_worst"]])
        if len(kept) >= len(layers):
            raise CompressError(f"all {len(layers)} layers would stay in float32: nothing is left to quantise")
    ptq = _calibrate(request["files"], batches, options, kept)
    prefix = Path(request["prefix"])
    drop_call_stacks(ptq._program)
    with paddle.static.scope_guard(ptq._scope):
        ptq.save_quantized_model(str(prefix.parent), model_filename=prefix.name)
    return {
        "batches": len(batches),
        "rows": batches.rows(),
        "layers": [
            {
                "name": names.get(layer.weight, layer.weight),
                "operator": layer.operator,
                "precision": "fp32" if layer.weight in kept else "int8",
                **({"error": errors[layer.weight]} if layer.weight in errors else {}),
            }
            for layer in layers
        ],
        "fp32_operators": left_in_float32(ptq._program),
    }


def _layers(model: Path, files: Sequence[str]) -> list[Layer]:
    executor = paddle.static.Executor(paddle.CPUPlace())
    with paddle.static.scope_guard(paddle.static.Scope()):
        program, _, _ = paddle.static.load_inference_model(
            str(model.parent), executor, model_filename=model.name, params_filename=Path(files[1]).name
        )
    return weighted_layers(program, OPERATORS)


def _calibrate(files: Sequence[str], batches: _Batches, options: Mapping[str, Any], kept: set[str]) -> Any:
    """The calibration object, whose ``_program`` is now quantised."""
    from paddle.static.quantization import PostTrainingQuantization
    from paddle.static.quantization.quant_config import BaseQuantizer

    class OnlyInputs(BaseQuantizer):  # type: ignore[misc]
        """Scales where a quantised layer reads, and nowhere else: a third of the time, and a smaller graph."""

        observer_operation_types: ClassVar[list[str]] = []

    class OnlyWeights(PostTrainingQuantization):  # type: ignore[misc]
        """Leaves products of two activations alone, and layers that are to be kept."""

        fp32_weights: dict[str, np.ndarray]

        def _load_model_data(self) -> None:
            super()._load_model_data()
            layers = {id(layer.op): layer for layer in weighted_layers(self._program, OPERATORS)}
            self.fp32_weights = {
                layer.weight: np.array(self._scope.find_var(layer.weight).get_tensor()) for layer in layers.values()
            }
            for op in self._program.global_block().ops:
                if op.type in OPERATORS and (id(op) not in layers or layers[id(op)].weight in kept):
                    op._set_attr("op_namescope", "skip_quant")

    model, params = (Path(path) for path in files)
    scope = paddle.static.Scope()
    with paddle.static.scope_guard(scope):
        ptq = OnlyWeights(
            executor=paddle.static.Executor(paddle.CPUPlace()), scope=scope,
            model_dir=str(model.parent), model_filename=model.name, params_filename=params.name,
            data_loader=batches, batch_size=1, batch_nums=len(batches),
            algo=options["algorithm"], quantizable_op_type=list(OPERATORS), bias_correction=options["bias_correction"],
            weight_quantize_type="channel_wise_abs_max" if options["per_channel"] else "abs_max",
            onnx_format=True, optimize_model=True,
        )  # fmt: skip
        ptq.quant_config = OnlyInputs(quantizable_op_type=list(OPERATORS), quant_bits=8)
        ptq.quantize()
    return ptq


def left_in_float32(program: Any) -> dict[str, int]:
    """How many operators that compute stay in float32, by type."""
    heavy = ("conv", "mul", "matmul", "rnn", "lookup_table", "softmax", "layer_norm", "batch_norm", "pool2d", "gru")
    counts = Counter(op.type for op in program.global_block().ops if op.type.startswith(heavy))
    for kind in OPERATORS:
        there = sum(1 for layer in weighted_layers(program, (kind,), quantised=True))
        counts[kind] -= there
    return {kind: count for kind, count in counts.items() if count > 0}


class _Batches:
    """The batches of a request, as Paddle's calibration wants them: callable, sized, read from disk each time."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __call__(self) -> Iterator[dict[str, np.ndarray]]:
        return iter(self)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for path in self.paths:
            with np.load(path, allow_pickle=False) as arrays:
                yield {name: arrays[name] for name in arrays.files}

    def __len__(self) -> int:
        return len(self.paths)

    def first(self) -> dict[str, np.ndarray]:
        """One batch."""
        return next(iter(self))

    def rows(self) -> int:
        """Samples in all batches."""
        return sum(len(next(iter(batch.values()))) for batch in self)
