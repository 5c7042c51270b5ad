"""The gate: an exported graph must answer as the trained model does, on real samples, in every form of use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.decode.closeness import largest_difference
from ppmm.errors import ExportError
from ppmm.types import Sample

__all__ = ["Answer", "Case", "check_parity", "parity_cases"]

Answer = Callable[[Sequence[Sample]], Mapping[str, np.ndarray]]
"""Raw samples -> output arrays by name."""
Case = tuple[str, list[Sample]]
"""What is tested, and one batch for it."""


def parity_cases(samples: Sequence[Sample], fields: Sequence[str], batch: int = 8) -> list[Case]:
    """Batches of mixed lengths, single samples, and batches that lack a field each.

    Args:
        samples: raw, with all their fields where they have them.
        fields: the graph's inputs.
        batch: rows of a batch.
    """
    cases: list[Case] = [("batch", list(samples[start : start + batch])) for start in range(0, len(samples), batch)]
    cases += [("single", [sample]) for sample in samples[:batch]]
    for field in fields:
        rest = [{key: value for key, value in sample.items() if key != field} for sample in samples[:batch]]
        kept = [sample for sample in rest if any(other in sample for other in fields)]
        if kept:
            cases.append((f"without {field}", kept))
    return cases


def check_parity(
    cases: Sequence[Case], reference: Answer, candidates: Mapping[str, Answer], tolerance: float
) -> dict[str, Any]:
    """Compare every candidate with the reference.

    Returns the report for ``parity.json``: the largest absolute difference overall, by back end and by case.
    Raises ExportError naming the back end, case and difference when one is above ``tolerance`` or not a number.
    """
    if not cases or not candidates:
        raise ExportError("no samples or no back end: there is nothing to compare the exported graph on")
    expected = [reference(samples) for _, samples in cases]
    report: dict[str, Any] = {"tolerance": tolerance, "max_abs": 0.0, "backends": {}}
    for backend, answer in candidates.items():
        by_case: dict[str, float] = {}
        for (case, samples), outputs in zip(cases, expected, strict=True):
            difference = largest_difference(outputs, answer(samples))
            if not difference <= tolerance:
                raise ExportError(
                    f"the exported graph disagrees with the trained model: {backend}, case '{case}', "
                    f"largest difference {difference:.3g}, tolerance {tolerance:g}; no bundle was written"
                )
            by_case[case] = max(by_case.get(case, 0.0), difference)
        report["backends"][backend] = {"max_abs": max(by_case.values()), "cases": by_case}
    report["max_abs"] = max(entry["max_abs"] for entry in report["backends"].values())
    return report
