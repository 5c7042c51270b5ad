"""One graph in Paddle Inference."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.errors import ExportError

__all__ = ["BACKENDS", "Backend", "PaddleGraph"]

Backend = Literal["onednn", "plain"]
BACKENDS: tuple[Backend, ...] = ("onednn", "plain")


class PaddleGraph:
    """A loaded graph on the CPU.

    Args:
        files: graph and weights.
        outputs: names, in the graph's order.
        backend: ``onednn`` (fast) or ``plain`` (Paddle's own kernels).
        threads: of the math library.
    """

    def __init__(self, files: Sequence[Path], outputs: Sequence[str], backend: Backend, threads: int) -> None:
        from paddle import inference

        if backend not in BACKENDS:
            raise ExportError(f"no back end named '{backend}'; there is {', '.join(BACKENDS)}")
        config = inference.Config(*(str(path) for path in files))
        config.disable_gpu()
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(threads)
        if str(files[0]).endswith(".json"):
            config.enable_new_executor(True)
        config.enable_memory_optim()
        if backend == "onednn":
            config.enable_mkldnn()
        else:
            config.disable_mkldnn()
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
