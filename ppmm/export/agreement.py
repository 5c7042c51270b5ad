"""The gate of bf16 and INT8: answers in the same direction as the trained model's, and a metric that hardly falls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.decode.closeness import cosine
from ppmm.errors import ExportError
from ppmm.export.parity import Answer, Case

__all__ = ["check_cosines", "check_drops"]


def check_cosines(
    cases: Sequence[Case], reference: Answer, candidates: Mapping[str, Answer], least: float
) -> dict[str, Any]:
    """Compare every candidate's outputs with the reference's, case by case, batches of one case taken together.

    Returns the report: ``min_cosine``, ``max_abs``, and by back end the cosine of each case.
    Raises ExportError naming back end, case and output when a cosine is below ``least`` or not a number.
    """
    if not cases or not candidates:
        raise ExportError("no samples or no back end: there is nothing to compare the exported graph on")
    expected = [reference(samples) for _, samples in cases]
    report: dict[str, Any] = {"least_cosine": least, "min_cosine": 1.0, "max_abs": 0.0, "backends": {}}
    for backend, answer in candidates.items():
        found = [answer(samples) for _, samples in cases]
        by_case: dict[str, float] = {}
        for case in dict.fromkeys(name for name, _ in cases):
            chosen = [number for number, (name, _) in enumerate(cases) if name == case]
            for output in expected[0]:
                ours = _joined([expected[number] for number in chosen], output)
                theirs = _joined([found[number] for number in chosen], output)
                value = cosine(ours, theirs)
                if not value >= least:
                    raise ExportError(
                        f"the exported graph disagrees with the trained model: {backend}, case '{case}', output "
                        f"'{output}', cosine {value:.4f}, at least {least:g} wanted; no bundle was written"
                    )
                by_case[case] = min(by_case.get(case, 1.0), value)
                report["max_abs"] = max(report["max_abs"], float(np.abs(ours - theirs).max(initial=0.0)))
        report["backends"][backend] = by_case
        report["min_cosine"] = min([report["min_cosine"], *by_case.values()])
    return report


def _joined(answers: Sequence[Mapping[str, np.ndarray]], output: str) -> np.ndarray:
    arrays = [answer[output] for answer in answers if output in answer]
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays] or [np.zeros(0)])


def check_drops(
    figures: Mapping[str, tuple[float, float]], metric: str, higher_is_better: bool, max_drop: float
) -> dict[str, Any]:
    """The metric of the trained model against that of the graph, for each set of fields.

    Args:
        figures: fields joined by ``+`` -> (model, graph).
        metric: its name, for the message.
        max_drop: how much worse the graph may be, in the metric's own unit.

    Returns the report: ``metric``, ``max_drop``, ``worst_drop`` and by fields ``model``, ``graph``, ``drop``.
    Sets of which the model itself has no such figure (retrieval between fields that are left out) are not compared.
    Raises ExportError naming the fields where the drop is larger; not a number in the graph counts as larger.
    """
    report: dict[str, Any] = {"metric": metric, "max_drop": max_drop, "fields": {}}
    for fields, (model, graph) in figures.items():
        if math.isnan(model) and math.isnan(graph):
            continue
        drop = model - graph if higher_is_better else graph - model
        if not drop <= max_drop:
            raise ExportError(
                f"{metric} on [{fields}] falls from {model:.4f} to {graph:.4f}, by {drop:.4f}; at most {max_drop:g} is "
                "allowed (export.max_drop); no bundle was written"
            )
        report["fields"][fields] = {"model": model, "graph": graph, "drop": drop}
    report["worst_drop"] = max((entry["drop"] for entry in report["fields"].values()), default=0.0)
    return report
