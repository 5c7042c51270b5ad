"""Starting `ppmm.compress.old_ir_worker`: files in, files out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ppmm
from ppmm.errors import CompressError

__all__ = ["run_worker"]

FAILED = 3
"""Exit code of a worker that says what is wrong in its last line."""


def run_worker(request: Mapping[str, Any], folder: Path) -> None:
    """Run one request under Paddle's old IR, in a process of its own.

    Args:
        request: ``task`` and its arguments, plain JSON; paths are absolute.
        folder: where the request may be written.

    Raises CompressError with what the worker says.
    """
    path = folder / "request.json"
    path.write_text(json.dumps(request), encoding="utf-8")
    root = str(Path(ppmm.__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "FLAGS_enable_pir_api": "0", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-m", "ppmm.compress.old_ir_worker", str(path)],
        env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        if done.returncode == FAILED and lines:
            raise CompressError(lines[-1])
        raise CompressError(f"quantisation ended with exit code {done.returncode}:\n" + "\n".join(lines[-8:]))
