"""Does this machine answer as the trained model did? Asked at first load, remembered by versions and processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.decode.closeness import COSINES, cosine, largest_difference
from ppmm.errors import ExportError
from ppmm.runtime.golden import Golden

__all__ = ["check_golden"]

GPU_TOLERANCE = 1e-2
"""Largest difference of float32 on a GPU, whose products round to TF32 (10 bits); never measured, see docs."""


def check_golden(
    golden: Golden,
    answer: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, np.ndarray]],
    who: str,
    precision: str,
    gpu: bool = False,
) -> dict[str, Any]:
    """Compare the answers to the golden samples; returns ``largest_difference`` and ``least_cosine``.

    Args:
        golden: samples, cases and what the trained model answered.
        answer: raw samples -> outputs.
        who: back end and device, for the message.
        precision: that was computed in.
        gpu: whether it was computed there.

    Raises ExportError naming the case where they disagree.
    """
    tolerance = golden.agreement.get("tolerance")
    least = golden.agreement.get("cosine")
    if precision in COSINES and least is None:  # a float32 bundle that is computed in half precision
        tolerance, least = None, COSINES[precision]
    if gpu and tolerance is not None:
        tolerance = max(tolerance, GPU_TOLERANCE)
    report = {"largest_difference": 0.0, "least_cosine": 1.0, "cases": len(golden.cases)}
    found = [dict(answer(samples)) for _, samples in golden.cases]
    for (case, _), expected, outputs in zip(golden.cases, golden.expected, found, strict=True):
        difference = largest_difference(expected, outputs)
        if not (np.isfinite(difference) if tolerance is None else difference <= tolerance):
            raise ExportError(_words(who, case, f"largest difference {difference:.3g}", f"tolerance {tolerance}"))
        report["largest_difference"] = max(report["largest_difference"], difference)
    for case in dict.fromkeys(name for name, _ in golden.cases):
        rows = [number for number, (name, _) in enumerate(golden.cases) if name == case]
        for output in golden.expected[rows[0]]:
            ours, theirs = (_joined([answers[row][output] for row in rows]) for answers in (golden.expected, found))
            value = cosine(ours, theirs)
            if least is not None and not value >= least:
                raise ExportError(_words(who, case, f"output '{output}', cosine {value:.4f}", f"at least {least:g}"))
            report["least_cosine"] = min(report["least_cosine"], value)
    return report


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])


def _words(who: str, case: str, found: str, wanted: str) -> str:
    return (
        f"self-test failed: under {who} this machine does not answer as the trained model did: case '{case}', {found}, "
        f"{wanted}. Another back end may be right (plain, onnx); or export the bundle again on such a machine"
    )
