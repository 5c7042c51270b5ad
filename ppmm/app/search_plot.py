"""The picture of a search: latency against what is lost."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from ppmm.app.report_figures import matplotlib_style
from ppmm.compress.search import Outcome, Plan, pareto_front
from ppmm.data.curate.table_writer import write_text

__all__ = ["write_search_plot"]


def write_search_plot(path: Path, plan: Plan, outcomes: Sequence[Outcome], chosen: Outcome | None, metric: str) -> None:
    """Latency against loss, with the front."""
    with matplotlib_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.0, 4.0), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        axes.plot([plan.latency], [0.0], "s", color="#1f3b4d", label="dense float32")
        for precision, colour in (("fp32", "#1f77b4"), ("bf16", "#9467bd"), ("int8", "#2ca02c")):
            own = [one for one in outcomes if one.precision == precision]
            axes.plot([one.latency for one in own], [100 * one.drop for one in own], "o", color=colour, label=precision)
        front = pareto_front(outcomes) if outcomes else []
        axes.step([one.latency for one in front], [100 * one.drop for one in front], where="post", color="#999999")
        if chosen is not None:
            axes.plot([chosen.latency], [100 * chosen.drop], "*", color="#b5432a", markersize=14, label="chosen")
        axes.set_xlabel("median latency at batch 1, ms")
        axes.set_ylabel(f"points of {metric} lost on val")
        axes.grid(True)
        axes.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_text(path, buffer.getvalue())
