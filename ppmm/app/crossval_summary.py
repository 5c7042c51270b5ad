"""Figures of K folds -> mean, spread and a confidence interval that knows that the folds share their training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ppmm.app.document import write_document
from ppmm.app.grid import Grid
from ppmm.app.grid_summary import picture, summarise

__all__ = ["interval", "summarise_folds", "write_folds"]

LEVEL = 0.95


def interval(values: Sequence[float], folds: int, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of the mean by the corrected t statistic of Nadeau and Bengio (2003, equation 9).

    The runs share training rows, so that s^2 / K is too small for the variance of their mean; it is replaced by
    (1 / K + n_val / n_train) s^2, here with n_val / n_train = 1 / (folds - 1).

    Returns: (lower, upper); NaN of fewer than two values, or where one is not finite.
    """
    from scipy.stats import t

    count = len(values)
    if count < 2 or not all(map(math.isfinite, values)):
        return math.nan, math.nan
    half = float(t.ppf(0.5 + level / 2, count - 1)) * stdev(values) * math.sqrt(1 / count + 1 / (folds - 1))
    return fmean(values) - half, fmean(values) + half


def summarise_folds(grid: Grid, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `grid_summary.summarise` says, with the interval and the rows of each fold.

    Returns: that, and ``folds: [{fold, rows, step, seconds}]``; ``rows[0].figures[column].interval`` is [lower, upper].
    """
    summary = summarise(grid, results)
    folds = len(grid.axes["fold"])
    for figure in summary["rows"][0]["figures"].values():
        figure["interval"] = list(interval(figure["values"], folds))
    summary["level"] = LEVEL
    summary["folds"] = [
        {
            "fold": result["labels"]["fold"],
            "rows": result["splits"][grid.splits[0]][0]["rows"],
            "step": result["step"],
            "seconds": result["seconds"],
        }
        for result in results
    ]
    return summary


def fold_table(summary: Mapping[str, Any]) -> str:
    """Markdown: a row for each figure, ``mean ± std``, the interval, and the value of each fold."""
    folds = [f"fold {entry['fold']}" for entry in summary["folds"]]
    head = ["figure", "mean ± std", f"{summary['level']:.0%} interval", *folds]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, figure in summary["rows"][0]["figures"].items():
        digits = 4 if abs(figure["mean"]) < 10 else 2
        low, high = (f"{value:.{digits}f}" for value in figure["interval"])
        cells = [name, f"{figure['mean']:.{digits}f} ± {figure['std']:.{digits}f}", f"{low} to {high}"]
        cells += [f"{value:.{digits}f}" for value in figure["values"]]
        lines.append("| " + " | ".join(cells) + " |")
    rows = [f"{entry['rows']:,}" for entry in summary["folds"]]
    lines.append("| " + " | ".join(["rows", "", "", *rows]) + " |")
    return "\n".join(lines)


def write_folds(folder: Path, summary: Mapping[str, Any]) -> str:
    """Write ``summary.md``, ``summary.json`` and ``summary.svg``; returns the table."""
    from ppmm.data.curate.table_writer import write_text

    table = fold_table(summary)
    write_document(folder / "summary.json", summary)
    write_text(folder / "summary.md", f"# {summary['title']}\n\n{summary['text']}\n\n{table}\n")
    picture(summary, folder / "summary.svg")
    return table
