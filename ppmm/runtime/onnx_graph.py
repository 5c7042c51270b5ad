"""One graph in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError

__all__ = ["OnnxGraph"]


class OnnxGraph:
    """A loaded ONNX graph on the CPU; any number of threads may call it at the same time.

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

    def clone(self) -> OnnxGraph:
        """Itself: a session answers several threads."""
        return self
