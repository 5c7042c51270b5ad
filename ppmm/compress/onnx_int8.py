"""INT8 of an ONNX graph by ONNX Runtime's own quantiser: the quantised Paddle graph cannot be converted."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import CompressError

__all__ = ["ALGORITHMS", "quantise_onnx"]

ALGORITHMS = {"abs_max": "MinMax", "avg": "MinMax", "hist": "Percentile", "KL": "Entropy"}
"""ppmm's name of a calibration -> ONNX Runtime's; ``avg`` is its moving average of smallest and largest values."""
STATIC = ["Conv", "MatMul", "Gemm"]
"""Weights per channel, activations by the ranges seen."""
DYNAMIC = ["LSTM"]
"""Weights only; ranges of activations are taken at run time. ONNX Runtime has no static form of it, and none of GRU."""


def quantise_onnx(
    source: Path, target: Path, batches: Sequence[Mapping[str, np.ndarray]], algorithm: str = "abs_max"
) -> dict[str, Any]:
    """Write the float32 graph ``source`` in INT8 to ``target``.

    Args:
        batches: arrays of the graph's inputs, for the ranges of activations.
        algorithm: one of `ALGORITHMS`.

    Returns ``{"layers": how many operators of each kind are INT8, "fp32": how many of these kinds are not}``.
    Raises CompressError for another algorithm, no batches, or a graph in which nothing can be quantised.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if algorithm not in ALGORITHMS:
        raise CompressError(
            f"ONNX Runtime has no calibration '{algorithm}'; with --onnx take {', '.join(ALGORITHMS)} (--algorithm)"
        )
    if not batches:
        raise CompressError("the calibration set is empty: INT8 needs rows to take ranges from")
    kinds = {node.op_type for node in onnx.load(str(source)).graph.node}
    if not kinds & {*STATIC, *DYNAMIC}:
        raise CompressError(f"{source.name} has no {', '.join([*STATIC, *DYNAMIC])}: there is nothing to quantise")
    with tempfile.TemporaryDirectory(prefix="ppmm_onnx8_") as name, _quiet():
        prepared, static = str(Path(name) / "prepared.onnx"), str(Path(name) / "static.onnx")
        quant_pre_process(str(source), prepared, skip_symbolic_shape=True)  # folds batch norms into convolutions
        quantize_static(
            prepared, static, _Batches(batches), per_channel=True, op_types_to_quantize=STATIC,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod[ALGORITHMS[algorithm]],
            extra_options={"CalibMovingAverage": algorithm == "avg"},
        )  # fmt: skip
        quantize_dynamic(static, str(target), op_types_to_quantize=DYNAMIC, weight_type=QuantType.QInt8)
    done, left = _counted(onnx.load(str(target)).graph)
    return {"layers": dict(done), "fp32": dict(left)}


class _Batches:
    """Batches as ONNX Runtime's calibration asks for them."""

    def __init__(self, batches: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.left = iter(_alike(batches))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.left, None)
        return None if batch is None else dict(batch)

    def set_range(self, start_index: int, end_index: int) -> None:
        raise NotImplementedError  # asked for only with a stride


def _alike(batches: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """Batches of one shape, which histograms of ONNX Runtime need: rows are repeated, lengths padded with zeros."""
    shapes = {name: np.max([batch[name].shape for batch in batches], axis=0) for name in batches[0]}
    found = []
    for batch in batches:
        padded = {}
        for name, array in batch.items():
            array = np.resize(array, (shapes[name][0], *array.shape[1:]))
            padded[name] = np.pad(array, [(0, to - size) for size, to in zip(array.shape, shapes[name], strict=True)])
        found.append(padded)
    return found


def _counted(graph: Any) -> tuple[Counter[str], Counter[str]]:
    """Operators with INT8 weights, and those that could have had them."""
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    done: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type in STATIC:
            (done if len(node.input) > 1 and node.input[1] in dequantised else left)[node.op_type] += 1
        elif node.op_type in ("LSTM", "GRU"):
            left[node.op_type] += 1
        elif node.op_type == "DynamicQuantizeLSTM":
            done["LSTM"] += 1
    return done, left


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice to do what was just done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
