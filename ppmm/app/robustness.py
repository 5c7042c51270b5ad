"""tools/robustness.py: how a checkpoint fares without modalities, and when they are damaged more and more."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.checkpoints import Loaded, load_checkpoint
from ppmm.app.document import write_document
from ppmm.app.evaluate import evaluate_rows, subsets
from ppmm.app.experiment import build_rows, open_experiment
from ppmm.app.picked_rows import PickedRows
from ppmm.errors import ConfigError, DataError
from ppmm.modalities.disturbances import DISTURBANCES, Disturbance, disturbed
from ppmm.registry import did_you_mean
from ppmm.types import Dataset, Sample

__all__ = ["effective_robustness", "measure_robustness", "relative_robustness"]

LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MISSING = "missing"
Curve = list[float]


def relative_robustness(levels: Sequence[float], values: Sequence[float]) -> float:
    """Area under the curve of performance against imperfection (trapezoids).

    Source: Liang et al. 2021, "MultiBench", section 3 and its evaluation script, which has levels 0, 0.1, ..., 1.
    MultiBench then scales to 0..1 among the methods of one table; this is the area itself.
    """
    return float(np.trapezoid(values, levels) if hasattr(np, "trapezoid") else np.trapz(values, levels))


def effective_robustness(values: Sequence[float], baseline: Sequence[float]) -> float:
    """sum_s f(s) - beta(s), where beta(s) = b(s) + f(0) - b(0) is what the baseline's decline would predict.

    Source: Taori et al. 2020 as used by Liang et al. 2021; the baseline of MultiBench is late fusion. Above 0: the
    model loses less than the baseline does.
    """
    f, b = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    return float(np.sum(f - (b + f[0] - b[0])))


class DisturbedRows:
    """Rows of a data set with one field damaged; the damage of a row depends on ``seed`` and the row alone.

    Args:
        rows: raw samples.
        field: the damaged one.
        kind: image, audio or text.
        change: one of `DISTURBANCES`; None takes the field away from a share ``level`` of the rows that have another.
        level: 0..1.
        seed: of the damage.
        others: the other fields of the model; a row that has none of them keeps its last one.
    """

    def __init__(
        self,
        rows: Dataset,
        field: str,
        kind: str,
        change: Disturbance | None,
        level: float,
        seed: int = 0,
        others: Collection[str] = (),
    ) -> None:
        self.rows, self.field, self.kind, self.change, self.level, self.seed = rows, field, kind, change, level, seed
        self.others = others

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        row = self.rows[index]
        if self.field not in row or self.level == 0:
            return row
        rng = np.random.default_rng([self.seed, index])
        if self.change is None:
            if self.others and not any(name in row for name in self.others):
                return row
            return {key: value for key, value in row.items() if key != self.field} if rng.random() < self.level else row
        try:
            return {**row, self.field: disturbed(self.kind, row[self.field], self.change, self.level, rng)}
        except DataError as error:
            raise DataError(f"{row['id']} {self.field}: {error}") from error


def first_rows(rows: Dataset, count: int) -> Dataset:
    """At most ``count`` rows, spread over the data set."""
    return PickedRows(rows, np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)))


def measure_robustness(
    weights: str,
    path: str | None = None,
    *,
    split: str = "test",
    metric: str = "accuracy",
    rows: int | None = None,
    levels: Sequence[float] = LEVELS,
    baseline: str | None = None,
    out: str | None = None,
    plugins: Collection[str] = (),
) -> dict[str, Any]:
    """Print (and with ``out`` write and draw) the figures of a checkpoint under damage; returns what was written.

    Args:
        weights: checkpoint folder.
        path: a YAML for data and metrics; the checkpoint's own config when None.
        split: key under ``data:``.
        metric: the figure.
        rows: at most so many rows, spread over the split.
        levels: increasing, from 0 to 1.
        baseline: another checkpoint, of the same fields, for the effective robustness.
        out: folder for ``robustness.json`` and ``robustness.svg``.
        plugins: code that the checkpoints may import.
    """
    if len(levels) < 2 or levels[0] != 0 or not all(a < b <= 1 for a, b in pairwise(levels)):
        raise ConfigError("--levels must rise from 0 to at most 1, such as 0 0.25 0.5 0.75 1")
    document = _measure(weights, path, split, metric, rows, levels, plugins)
    if baseline is not None:
        other = _measure(baseline, path, split, metric, rows, levels, plugins)
        document["baseline"] = {"checkpoint": baseline, "curves": other["curves"], "subsets": other["subsets"]}
        for name, curve in document["curves"].items():
            if name in other["curves"]:
                against = other["curves"][name]["values"]
                curve["effective"] = effective_robustness(curve["values"], against)
    print(robustness_table(document))
    if out is not None:
        _write(Path(out), document)
    return document


def _measure(
    weights: str, path: str | None, split: str, metric: str, count: int | None, levels: Sequence[float],
    plugins: Collection[str],
) -> dict[str, Any]:  # fmt: skip
    loaded = load_checkpoint(weights, None if path is None else open_experiment(path), plugins)
    rows = build_rows(loaded.config, split)
    rows = rows if count is None else first_rows(rows, count)
    fields = list(loaded.parts.fields)
    whole = _value(loaded, rows, metric)
    by_subset = {"+".join(fields): whole}
    for without in subsets(fields)[1:]:
        name = "+".join(field for field in fields if field not in without)
        by_subset[name] = _value(loaded, rows, metric, without)
    curves: dict[str, dict[str, Any]] = {}
    for field in fields:
        kind = loaded.parts.fields[field].kind
        changes: Mapping[str, Disturbance | None] = {**DISTURBANCES.get(kind, {})}
        if len(fields) > 1:
            changes = {**changes, MISSING: None}
        for name, change in changes.items():
            make = _maker(rows, field, kind, change, [name for name in fields if name != field])
            values = [whole if level == 0 else _value(loaded, make(level), metric) for level in levels]
            curves[f"{field} {name}"] = {"values": values, "relative": relative_robustness(levels, values)}
    return {
        "checkpoint": weights, "split": split, "metric": metric, "rows": len(rows), "levels": list(levels),
        "subsets": by_subset, "curves": curves,
    }  # fmt: skip


def _maker(
    rows: Dataset, field: str, kind: str, change: Disturbance | None, others: Collection[str]
) -> Callable[[float], Dataset]:
    return lambda level: DisturbedRows(rows, field, kind, change, level, others=others)


def _value(loaded: Loaded, rows: Dataset, metric: str, without: Collection[str] = ()) -> float:
    figures = evaluate_rows(loaded, rows, without=without).evaluation.figures
    if metric not in figures:
        raise ConfigError(f"--metric {metric}: the config measures no such figure{did_you_mean(metric, figures)}")
    return float(figures[metric])


def robustness_table(document: Mapping[str, Any]) -> str:
    """Two Markdown tables: by subset of the fields, and by kind and level of damage."""
    levels = document["levels"]
    lines = [f"| present | {document['metric']} |", "|---|---|"]
    lines += [f"| {name} | {_shown(value)} |" for name, value in document["subsets"].items()]
    head = ["damage", *(f"{level:g}" for level in levels), "relative robustness", "effective robustness"]
    lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, curve in document["curves"].items():
        values = " | ".join(map(_shown, curve["values"]))
        lines.append(f"| {name} | {values} | {_shown(curve['relative'])} | {_shown(curve.get('effective'), '+')} |")
    return "\n".join(lines)


def _shown(value: float | None, sign: str = "") -> str:
    """Three digits; a dash for what is not there or, in a document, was not finite."""
    return "–" if value is None or not math.isfinite(value) else f"{value:{sign}.3f}"


def _write(folder: Path, document: Mapping[str, Any]) -> None:
    from ppmm.app.report_figures import matplotlib_style

    write_document(folder / "robustness.json", document)
    try:
        (folder / "robustness.md").write_text(robustness_table(document) + "\n", encoding="utf-8")
        with matplotlib_style():
            from matplotlib.figure import Figure

            figure = Figure(figsize=(7.0, 4.2), facecolor="white")
            axes = figure.add_subplot()
            for name, curve in document["curves"].items():
                axes.plot(document["levels"], curve["values"], marker="o", markersize=3, label=name)
            axes.set_xlabel("level of damage")
            axes.set_ylabel(f"{document['split']} {document['metric']}")
            axes.legend(fontsize=8)
            axes.grid(True)
            figure.tight_layout()
            figure.savefig(folder / "robustness.svg", format="svg", metadata={"Date": None})
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error}; choose another place with --out") from error
    print(f"figures and picture: {folder}/robustness.{{json,md,svg}}")
