"""One graph in Paddle Inference."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError
from ppmm.runtime.backends import CPU, Backend, Device
from ppmm.runtime.paddle_config import set_cpu, set_gpu

__all__ = ["PaddleGraph"]


class PaddleGraph:
    """A loaded graph.

    Args:
        files: graph and weights.
        outputs: names, in the graph's order.
        backend: ``onednn`` or ``plain`` on a CPU, ``cuda`` or ``tensorrt`` on a GPU.
        threads: of the math library.
        precision: what is computed in.
        device: where.
        entry: the graph's own in bundle.yaml; TensorRT reads it.
        cache: where TensorRT keeps its engines.

    Raises ExportError where Paddle was built without CUDA for a GPU, or cannot load the graph.
    """

    def __init__(
        self,
        files: Sequence[Path],
        outputs: Sequence[str],
        backend: Backend = "onednn",
        threads: int = 1,
        precision: str = "fp32",
        device: Device = CPU,
        entry: Mapping[str, Any] | None = None,
        cache: Path | None = None,
    ) -> None:
        from paddle import inference

        config = inference.Config(*(str(path) for path in files))
        pir = str(files[0]).endswith(".json")
        if device.kind == "cpu":
            set_cpu(config, backend, threads, precision, pir)
        else:
            check_gpu(device)
            where = cache if backend == "tensorrt" else None
            set_gpu(config, inference.PrecisionType, device, precision, pir, entry or {}, where)
        self.outputs = list(outputs)
        self.lock = threading.Lock()
        try:
            self.predictor: Any = inference.create_predictor(config)
        except (RuntimeError, ValueError, OSError) as error:
            raise ExportError(f"Paddle Inference cannot load {files[0].name} under {backend}: {error}") from error

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

    def clone(self) -> PaddleGraph:
        """Another one over the same weights, to be called at the same time."""
        other = object.__new__(PaddleGraph)
        other.outputs, other.lock, other.predictor = self.outputs, threading.Lock(), self.predictor.clone()
        return other


def check_gpu(device: Device) -> None:
    """Raises ExportError where there is no such GPU for this Paddle; it would go on on the CPU with one line of log."""
    import paddle

    if not paddle.is_compiled_with_cuda():
        raise ExportError(
            f"gpu:{device.number} is not there: this Paddle is built for CPUs only; install paddlepaddle-gpu (README)"
        )
    count = paddle.device.cuda.device_count()
    if device.number >= count:
        raise ExportError(f"gpu:{device.number} is not there: Paddle sees {count} GPU{'s' if count != 1 else ''}")
