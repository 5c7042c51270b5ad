"""INT8 graphs of models that were trained with rounded numbers: the ranges are those of training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.compress.old_ir_process import run_worker

__all__ = ["quantise_with_ranges"]


def quantise_with_ranges(
    files: Sequence[Path], ranges: Mapping[str, float], prefix: Path, names: Mapping[str, str]
) -> dict[str, Any]:
    """Write the INT8 form of a float32 graph as ``<prefix>.pdmodel`` and ``<prefix>.pdiparams``.

    Args:
        files: graph (``.pdmodel``: the old IR) and weights, without rounding.
        ranges: largest absolute value of each layer's input, by the name of its weight in the graph; other layers stay
            in float32.
        prefix: of the new files.
        names: the layers' names in the model by those of their weights in the graph, for the report.

    Returns the report: ``layers`` (name, operator, precision, ``range`` of its input, and ``trained`` where the graph
    has another one than training had, since two layers read the same), ``fp32_operators`` (how many of each kind stay).
    Raises CompressError when the graph has no layer of a range.
    """
    with tempfile.TemporaryDirectory(prefix="ppmm_int8_") as name:
        folder = Path(name)
        request = {
            "task": "trained_ranges", "files": [str(path) for path in files], "ranges": dict(ranges),
            "prefix": str(prefix), "names": dict(names), "report": str(folder / "report.json"),
        }  # fmt: skip
        run_worker(request, folder)
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {"algorithm": "trained", "per_channel": True, "rows": 0, **report}
