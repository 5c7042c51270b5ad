"""Pictures of what metrics tell beside their figures: reliability, ROC, precision over recall, ranks of retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ppmm.app.report_confusion import shorten
from ppmm.app.report_figures import INK, VAL, Picture, format_number, matplotlib_style, to_svg

__all__ = ["CURVE_TITLES", "detail_pictures", "without_curves"]

CURVE_TITLES = {
    "roc_auc": "ROC curve",
    "pr_auc": "Precision over recall",
    "mean_average_precision": "Precision over recall of each label",
}
COLOURS = ("#2563eb", "#c2410c", "#059669", "#7c3aed", "#ca8a04", "#db2777", "#0891b2", "#6b7280")
"""Told apart on a light and on a dark page."""


class _Curve(NamedTuple):
    label: str
    x: Sequence[float]
    y: Sequence[float]


def detail_pictures(details: Mapping[str, Any]) -> list[Picture]:
    """A picture of each table that has one, in the order of ``details``; those without rows have none."""
    pictures = []
    for number, (name, detail) in enumerate(details.items()):
        prefix = f"d{number}-"
        if name == "reliability":
            pictures.append(_reliability(detail, prefix))
        elif name in CURVE_TITLES:
            pictures.append(_class_curves(name, detail, prefix))
        elif name.endswith("retrieval"):
            pictures.append(_ranks(name, detail, prefix))
    return [picture for picture in pictures if picture is not None]


def without_curves(name: str, detail: Any) -> Any:
    """``detail`` without the points of its curves, which say nothing as numbers."""
    return {key: value for key, value in detail.items() if key != "curves"} if name in CURVE_TITLES else detail


def _reliability(detail: Mapping[str, Any], prefix: str) -> Picture | None:
    """Accuracy of the answers of each confidence, beside the diagonal that a calibrated model follows."""
    bins = [row for row in detail["bins"] if row["rows"]]
    if not bins:
        return None
    with matplotlib_style():
        figure, axes = _axes("confidence", "accuracy")
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        width = bins[0]["to"] - bins[0]["from"]
        heights = [row["accuracy"] for row in bins]
        axes.bar([row["from"] for row in bins], heights, width * 0.94, align="edge", color=COLOURS[0], alpha=0.6)
        axes.plot([row["confidence"] for row in bins], heights, "o", color=VAL, markersize=4)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        svg = to_svg(figure, f"Reliability of {detail['target']}", prefix)
    most = max(bins, key=lambda row: row["rows"])
    rows = sum(row["rows"] for row in bins)
    caption = (
        f"Points below the diagonal are too confident. Most rows, {most['rows']} of {rows}, have confidence "
        f"{format_number(most['confidence'])} and accuracy {format_number(most['accuracy'])}."
    )
    return Picture(f"Reliability of {detail['target']}", svg, caption)


def _class_curves(name: str, detail: Mapping[str, Any], prefix: str) -> Picture | None:
    curves = [
        _Curve(f"{shorten(label)} {detail['classes'][label]:.3f}", points["x"], points["y"])
        for label, points in detail["curves"].items()
    ]
    if not curves:
        return None
    title = f"{CURVE_TITLES[name]}: {detail['target']}"
    with matplotlib_style():
        figure, axes = _axes(*detail["axes"])
        if name == "roc_auc":
            axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        _draw(axes, curves)
        svg = to_svg(figure, title, prefix)
    known = [area for area in detail["classes"].values() if area is not None]
    which = (
        f"The {len(curves)} of {len(known)} classes with the smallest areas" if len(known) > len(curves) else "Areas"
    )
    undefined = len(detail["classes"]) - len(known)
    caption = f"{which}: {'; '.join(curve.label for curve in curves)}."
    return Picture(title, svg, caption + (f" Not defined for {undefined} classes." if undefined else ""))


def _ranks(name: str, detail: Mapping[str, Any], prefix: str) -> Picture | None:
    """Share of the queries that are found by each rank, that is recall at every K."""
    curves = []
    for direction, table in detail["directions"].items():
        if table["queries"]:
            found = np.cumsum([row["queries"] for row in table["ranks"]]) / table["queries"]
            ranks = [row["to"] for row in table["ranks"]]
            curves.append(_Curve(shorten(direction.replace("_to_", " → "), 30), ranks, found.tolist()))
    if not curves:
        return None
    title = f"Ranks: {name}"
    with matplotlib_style():
        figure, axes = _axes("rank K", "found by rank K")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter("")
        _draw(axes, curves)
        axes.set_ylim(0, 1.02)
        svg = to_svg(figure, title, prefix)
    sizes = "; ".join(
        f"{direction.replace('_to_', ' → ')} {table['queries']} queries, {table['candidates']} candidates"
        for direction, table in detail["directions"].items()
    )
    return Picture(title, svg, f"{sizes}.")


def _axes(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.6), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True)
    return figure, axes


def _draw(axes: Any, curves: Sequence[_Curve]) -> None:
    for curve, colour in zip(curves, COLOURS * (1 + len(curves) // len(COLOURS)), strict=False):
        axes.plot(curve.x, curve.y, label=curve.label, color=colour, linewidth=1.8)
    axes.legend(frameon=False, fontsize=9)
