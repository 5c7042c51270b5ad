"""One graph in Paddle Inference."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.errors import ExportError

__all__ = ["BACKENDS", "Backend", "OnnxGraph", "PaddleGraph", "backends_of"]

Backend = Literal["onednn", "plain", "onnx"]
BACKENDS: tuple[Backend, ...] = ("onednn", "plain")
"""Those of Paddle Inference; ``onnx`` is ONNX Runtime, for bundles that have such a graph."""
INT8_OPERATORS = {"conv2d", "fused_conv2d", "depthwise_conv2d", "fc"}
"""What oneDNN computes in INT8. Left to itself Paddle 3.1.1 also takes pooling, concat and products of activations,
whose ranges nobody measured: adaptive pooling then raises ("could not create a descriptor")."""

PLAIN_PASSES = ["conv2d_bn_fuse_pass"]
"""What Paddle 3.1.1 leaves out without oneDNN, beside its own: a tenth of a small network's time."""


def backends_of(precision: str) -> tuple[Backend, ...]:
    """The back ends that compute in a precision. Raises ExportError of one that none knows."""
    if precision == "fp32":
        return BACKENDS
    if precision in ("bf16", "int8"):
        return ("onednn",)
    raise ExportError(f"this version of ppmm computes in fp32, bf16 and int8, not in '{precision}'")


class PaddleGraph:
    """A loaded graph on the CPU.

    Args:
        files: graph and weights.
        outputs: names, in the graph's order.
        backend: ``onednn`` (fast) or ``plain`` (Paddle's own kernels).
        threads: of the math library.
        precision: ``fp32``, ``bf16`` or ``int8``, from the bundle: an INT8 graph that is run without its switch is
            three times slower than float32, a float32 graph with it is wrong.

    Raises ExportError of a back end that is unknown or does not compute in this precision.
    """

    def __init__(
        self,
        files: Sequence[Path],
        outputs: Sequence[str],
        backend: Backend,
        threads: int,
        precision: str = "fp32",
    ) -> None:
        from paddle import inference

        if backend not in BACKENDS:
            raise ExportError(f"no back end named '{backend}'; there is {', '.join(BACKENDS)}")
        if backend not in backends_of(precision):
            raise ExportError(f"a graph of precision {precision} needs the back end onednn, not {backend}")
        config = inference.Config(*(str(path) for path in files))
        config.disable_gpu()
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(threads)
        if str(files[0]).endswith(".json"):
            config.enable_new_executor(True)
        config.enable_memory_optim()
        if backend == "onednn":
            config.enable_mkldnn()
            if precision == "bf16":
                config.enable_mkldnn_bfloat16()
            if precision == "int8":
                config.enable_mkldnn_int8(INT8_OPERATORS)
        else:
            config.disable_mkldnn()
            if str(files[0]).endswith(".json"):
                config.enable_new_ir(True)
                config.enable_custom_passes(PLAIN_PASSES, False)
        self.outputs = list(outputs)
        self.predictor: Any = inference.create_predictor(config)
        self.lock = threading.Lock()

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch; inputs and outputs by name. One call at a time per graph."""
        with self.lock:
            for name in self.predictor.get_input_names():
                self.predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(inputs[name]))
            self.predictor.run()
            handles = self.predictor.get_output_names()
            return {
                name: self.predictor.get_output_handle(handle).copy_to_cpu()
                for name, handle in zip(self.outputs, handles, strict=True)
            }


class OnnxGraph:
    """A loaded ONNX graph on the CPU, in ONNX Runtime.

    Args:
        file: the graph with its weights.
        outputs: names, in the graph's order.
        threads: within one operator.

    Raises ExportError where ONNX Runtime is not installed or refuses the graph.
    """

    def __init__(self, file: Path, outputs: Sequence[str], threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ExportError("the back end onnx needs ONNX Runtime: pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session: Any = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own classes, which it does not export
            raise ExportError(f"ONNX Runtime cannot load {file.name}: {error}") from error
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.outputs = list(outputs)
        if len(self.session.get_outputs()) != len(self.outputs):
            raise ExportError(f"{file.name} has {len(self.session.get_outputs())} outputs, not {len(self.outputs)}")

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch; inputs and outputs by name."""
        found = self.session.run(None, {name: inputs[name] for name in self.inputs})
        return dict(zip(self.outputs, found, strict=True))
