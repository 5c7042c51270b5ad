"""A trained model as an ONNX graph, by paddle2onnx from a static graph of operators that it knows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppmm.errors import ExportError
from ppmm.export.bundle import graph_entry
from ppmm.export.onnx_lengths import add_lengths
from ppmm.types import FieldSpec

__all__ = ["ONNX", "OPSET", "write_onnx"]

ONNX = "main.onnx"
"""The file in a bundle."""
OPSET = 17
SHOWN = 300


def write_onnx(model: Any, specs: Mapping[str, FieldSpec], path: Path) -> None:
    """Write ``model`` in float32 to ``path``, batch and lengths dynamic.

    The converter runs in a process of its own, since it ends its process where it cannot go on. Raises ExportError
    with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="ppmm_onnx_") as name:
        folder = Path(name)
        entry = graph_entry(model, specs, folder, portable=True)
        files = [str(folder / file) for file in entry["files"]]
        done = subprocess.run(
            [sys.executable, "-c", CONVERT, *files, str(path), str(OPSET)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    if done.returncode or not path.is_file():
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if "rror" in line]
        why = lines[-1][-SHOWN:] if lines else f"exit code {done.returncode}"
        raise ExportError(f"paddle2onnx cannot convert this model: {why}")
    add_lengths(path)


CONVERT = """
import sys
import paddle2onnx
graph, weights, path, opset = sys.argv[1:]
paddle2onnx.export(graph, weights, path, opset_version=int(opset), optimize_tool=None)
"""
"""Its default ``optimize_tool`` runs pip."""
