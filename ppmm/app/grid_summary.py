"""Results of a grid -> mean and spread over seeds, a Markdown table and a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ppmm.app.document import write_document
from ppmm.app.grid import Grid
from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = ["markdown", "spread", "summarise", "write_summary"]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """``mean``, sample standard deviation ``std`` (0 of a single value) and the ``values``; NaN stays NaN."""
    if not all(map(math.isfinite, values)):
        return {"mean": math.nan, "std": math.nan, "values": list(values)}
    return {"mean": fmean(values), "std": stdev(values) if len(values) > 1 else 0.0, "values": list(values)}


def summarise(grid: Grid, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One entry for all cells that differ in ``grid.over`` only.

    Returns: ``{name, title, text, over, figures, minutes, rows: [{labels, runs, config, parameters, seconds, figures:
    {column: {mean, std, values}}, latency}]}``; a column is ``split metric``, with ``[fields]`` where some are dropped.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        labels = tuple(label for axis, label in result["labels"].items() if axis != grid.over)
        groups.setdefault(labels, []).append(result)
    rows = [_row(grid, group) for group in groups.values()]
    return {
        "name": grid.name,
        "title": grid.title or grid.name,
        "text": grid.text,
        "figures": grid.figures,
        "minutes": round(sum(result["seconds"] for result in results) / 60, 1),
        "rows": rows,
    }


def _row(grid: Grid, group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns: dict[str, list[float]] = {}
    for result in group:
        for name, value in _figures(result["splits"]):
            columns.setdefault(name, []).append(value)
    first = group[0]
    row = {
        "labels": {axis: label for axis, label in first["labels"].items() if axis != grid.over},
        "runs": len(group),
        "config": first["config"],
        "override": first["override"],
        "fields": first["splits"][grid.splits[0]][0]["fields"],
        "test_rows": first["splits"][grid.splits[0]][0]["rows"],
        "parameters": first["parameters"],
        "seconds": round(fmean(result["seconds"] for result in group), 1),
        "figures": {name: spread(values) for name, values in columns.items()},
    }
    return {**row, "latency": first["latency"]} if "latency" in first else row


def _figures(splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, float]]:
    for split, entries in splits.items():
        for entry in entries:
            only = f" [{'+'.join(entry['fields'])}]" if entry["dropped"] else ""
            for metric, value in entry["metrics"].items():
                yield f"{split} {metric}{only}", math.nan if value is None else float(value)


def shown(summary: Mapping[str, Any]) -> list[str]:
    """The columns of the table: the grid's figures on every split, then on each subset of the fields.

    Raises ConfigError when no run measured any of them.
    """
    names = list(dict.fromkeys(name for row in summary["rows"] for name in row["figures"]))
    wanted = [name for name in names if name.split(" ")[1] in summary["figures"]]
    if not wanted:
        known = dict.fromkeys(name.split(" ")[1] for name in names)
        figures = summary["figures"]
        raise ConfigError(
            f"{summary['name']}: figures: no run measured '{figures[0]}'{did_you_mean(figures[0], known)}"
        )
    return [name for name in wanted if "[" not in name] + [name for name in wanted if "[" in name]


def markdown(summary: Mapping[str, Any]) -> str:
    """A Markdown table: a row for each combination of labels, ``mean ± std`` where there are several runs."""
    columns = shown(summary)
    axes = list(summary["rows"][0]["labels"])
    latency = any("latency" in row for row in summary["rows"])
    head = [*axes, *(column.removeprefix("test ") for column in columns), "parameters", "train s"]
    head += ["ms/sample", "MB"] if latency else []
    lines = [_line(head), "|" + "---|" * len(head)]
    for row in summary["rows"]:
        cells = [*row["labels"].values(), *(_cell(row["figures"].get(column)) for column in columns)]
        cells += [f"{row['parameters']:,}", f"{row['seconds']:.0f}"]
        if latency:
            measured = row.get("latency", {})
            cells += [f"{measured.get('p50_ms', math.nan):.2f}", f"{measured.get('memory_mb', math.nan):.0f}"]
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    digits = 3 if abs(figure["mean"]) < 10 else 1
    text = f"{figure['mean']:.{digits}f}"
    return f"{text} ± {figure['std']:.{digits}f}" if len(figure["values"]) > 1 else text


def write_summary(folder: Path, summary: Mapping[str, Any]) -> str:
    """Write ``summary.md``, ``summary.json`` and ``summary.svg``; returns the table."""
    table = markdown(summary)
    write_document(folder / "summary.json", summary)
    (folder / "summary.md").write_text(f"# {summary['title']}\n\n{summary['text']}\n\n{table}\n", encoding="utf-8")
    picture(summary, folder / "summary.svg")
    return table


def picture(summary: Mapping[str, Any], path: Path) -> None:
    """SVG of the first shown column: a bar for each row, a whisker of one standard deviation, a dot for every run."""
    from ppmm.app.report_figures import matplotlib_style

    rows, column = summary["rows"], shown(summary)[0]
    figures = [row["figures"].get(column, spread([math.nan])) for row in rows]
    values = [value for entry in figures for value in entry["values"] if math.isfinite(value)] or [0.0]
    with matplotlib_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.0, 0.8 + 0.3 * len(rows)), facecolor="white")
        axes = figure.add_subplot()
        means, whiskers = [entry["mean"] for entry in figures], [entry["std"] for entry in figures]
        axes.barh(range(len(rows)), means, xerr=whiskers, color="#7aa6c2", height=0.6)
        for place, entry in enumerate(figures):
            axes.plot(entry["values"], [place] * len(entry["values"]), ".", color="#1f3b4d", markersize=4)
        axes.set_yticks(range(len(rows)), [" ".join(row["labels"].values()) or "run" for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(left=max(0.0, min(values) - 0.2 * (max(values) - min(values)) - 0.02))
        axes.set_xlabel(column)
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})
