"""tools/report.py: several runs on one page that needs no network."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ppmm.app.report import render_page, write_page
from ppmm.app.report_figures import RUNS, Curve, Picture, curve_of, draw_curves, format_number, points_of
from ppmm.app.run_folder import RunFolder, name_apart, read_run
from ppmm.config import ConfigNode, changed_keys, dump
from ppmm.errors import DataError

__all__ = ["best_runs", "compare_runs", "config_differences", "config_value", "more_is_better"]

STYLES = ("-", "--", ":", "-.")
LEGEND = 6
"""Curves that a legend may name; of more the table of the runs tells the colours."""
MINUTES = 600
"""Seconds from which on time is told in minutes."""
MORE = re.compile(r"accuracy|f1$|auc$|average_precision|exact_match|^r2$|consistency|R@|mrr|ndcg", re.IGNORECASE)
LESS = re.compile(r"loss|^ece$|mae$|rmse$|rank|^wer$|^cer$|perplexity")
ABSENT = "–"


class Cell(NamedTuple):
    """A figure as text, and whether it is the best of its row."""

    text: str
    best: bool = False


def compare_runs(folders: Sequence[str], out: str | None = None) -> Path:
    """Write a page that compares runs; returns its path.

    Args:
        folders: run folders, in the order of the page.
        out: the HTML file; ``compare.html`` in the folder of the first run's folder when None, and ``compare.html`` in
            the run itself when there is one only.

    Raises DataError when a folder is not a run, or is given twice, or the page cannot be written.
    """
    if not folders:
        raise DataError("name at least one run folder")
    names = name_apart([Path(folder) for folder in folders])
    runs = dict(zip(names, map(read_run, folders), strict=True))
    first = Path(folders[0])
    path = Path(out) if out is not None else (first.parent if len(folders) > 1 else first) / "compare.html"
    configs = [run.config for run in runs.values()]
    page = render_page(
        "report_compare.html.j2",
        title=f"{len(runs)} runs" if len(runs) > 1 else names[0],
        runs=[{"name": name, "colour": i % len(RUNS), "style": _style_name(i)} for i, name in enumerate(runs)],
        facts=_fact_rows(list(runs.values())),
        figures=_figure_rows(list(runs.values())),
        curves=_curves(runs),
        differences=config_differences(configs),
        config_texts={name: dump(run.config) for name, run in runs.items()},
    )
    write_page(path, page)
    return path


def more_is_better(figure: str, configs: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether more of a figure is better: as a config that monitors it says, else as its name does; else None."""
    for config in configs:
        trainer = config.get("trainer", {})
        if trainer.get("monitor", "accuracy") == figure:
            return bool(trainer.get("mode", "max") == "max")
    if LESS.search(figure):
        return False
    return True if MORE.search(figure) else None


def best_runs(values: Sequence[float | None], more: bool | None) -> list[bool]:
    """Which of several values is the best, all that are equal to it included; none where less than two are finite."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if more is None or len(finite) < 2:
        return [False] * len(values)
    best = max(finite) if more else min(finite)
    return [value == best for value in values]


def config_differences(configs: Sequence[ConfigNode]) -> dict[str, list[str]]:
    """Dotted key -> its value in each config, as text, of the keys in which any two configs differ."""
    changed = {key for config in configs[1:] for key in changed_keys(configs[0], config)}
    # Where one run lacks a whole section and others differ inside of it, the section itself says enough.
    keys = [key for key in sorted(changed) if not any(key.startswith(f"{other}.") for other in changed)]
    return {key: [_text(config_value(config, key)) for config in configs] for key in keys}


def config_value(config: Any, key: str) -> Any:
    """The value at a dotted path of `changed_keys`; None where the config has none. Keys may have dots themselves."""
    if not key:
        return config
    if not isinstance(config, Mapping):
        return None
    for name in sorted(map(str, config), key=len, reverse=True):
        if key == name or key.startswith(f"{name}."):
            return config_value(config[name], key[len(name) + 1 :])
    return None


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fact_rows(runs: Sequence[RunFolder]) -> dict[str, list[str]]:
    """What is worth knowing of each run, by its name; rows that no run fills are left out."""
    rows = {
        "status": [run.status for run in runs],
        "folder": [str(run.folder) for run in runs],
        "steps": [f"{run.step:,}" for run in runs],
        "best step": [_count(run.best_step) for run in runs],
        "seconds of training": [_number(run.seconds) for run in runs],
        "samples/s": [_number(_last(run, "samples_per_second")) for run in runs],
        "memory, largest (MB)": [_number(_largest(run, "memory_mb")) for run in runs],
        "GPU memory, largest (MB)": [_number(_largest(run, "gpu_memory_peak_mb")) for run in runs],
        "parameters": [_count(run.manifest.get("parameters")) for run in runs],
        "training rows": [_count(run.manifest.get("train_rows")) for run in runs],
        "rows left out": [_number(_last(run, "skipped_rows")) for run in runs],
        "versions": [_versions(run) for run in runs],
    }
    return {name: values for name, values in rows.items() if any(value != ABSENT for value in values)}


def _versions(run: RunFolder) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.manifest.get("versions", {}).items())
    commit = run.manifest.get("commit")
    return (f"{versions}, commit {commit}" if commit else versions) or ABSENT


def _last(run: RunFolder, name: str) -> float | None:
    return next((line[name] for line in reversed(run.history) if line.get(name) is not None), None)


def _largest(run: RunFolder, name: str) -> float | None:
    return max((line[name] for line in run.history if line.get(name) is not None), default=None)


def _count(value: int | None) -> str:
    return ABSENT if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}" if abs(value) >= 1000 else format_number(value)


def _figure_rows(runs: Sequence[RunFolder]) -> dict[str, list[Cell]]:
    """``split metric`` -> its value in each run."""
    names = dict.fromkeys((split, name) for run in runs for split, found in run.metrics.items() for name in found)
    rows = {}
    for split, name in names:
        values = [run.metrics.get(split, {}).get(name) for run in runs]
        best = best_runs(values, more_is_better(name, [run.config for run in runs]))
        rows[f"{split} {name}"] = [Cell(format_number(v), mark) for v, mark in zip(values, best, strict=True)]
    return rows


def _curves(runs: Mapping[str, RunFolder]) -> list[tuple[str, list[Picture]]]:
    """Each chart by step and by time: losses, figures of the validation, the other terms, rate and pace."""
    seen: dict[tuple[str | None, str], None] = {("train", "loss"): None, ("val", "loss"): None}
    for part in ("val", "train"):
        for run in runs.values():
            for line in run.history:
                if isinstance(line.get(part), Mapping):
                    seen |= dict.fromkeys((part, str(name)) for name in line[part])
    seen |= {(None, "learning_rate"): None, (None, "samples_per_second"): None}
    titles = {"train": "training", "val": "validation"}
    longest = max((run.seconds or 0.0 for run in runs.values()), default=0.0)
    unit, scale = ("minutes", 60.0) if longest >= MINUTES else ("seconds", 1.0)
    charts = []
    for number, (split, name) in enumerate(seen):
        title = name.replace("_", " ") if split is None else f"{titles[split]} {name}"
        by_step, by_time = _run_curves(runs, split, name, "step"), _run_curves(runs, split, name, "seconds", scale)
        pictures = [
            draw_curves(title, curves, f"{key}{number}-", across=across, legend=1 < len(curves) <= LEGEND)
            for key, across, curves in (("s", "step", by_step), ("t", unit, by_time))
            if curves
        ]
        if pictures:
            charts.append((title, pictures))
    return charts


def _run_curves(
    runs: Mapping[str, RunFolder], split: str | None, name: str, key: str, scale: float = 1.0
) -> list[Curve]:
    """One figure over ``key`` of the history's lines, divided by ``scale``: a curve for each run that has it."""
    curves = []
    for number, (run_name, run) in enumerate(runs.items()):
        points = points_of(run.history, split, name, key)
        scaled = [(place / scale if isinstance(place, int | float) else place, value) for place, value in points]
        curve = curve_of(run_name, RUNS[number % len(RUNS)], scaled, STYLES[number // len(RUNS) % len(STYLES)])
        if len(curve.places):
            curves.append(curve)
    return curves


def _style_name(number: int) -> str:
    return ("", "dashed", "dotted", "dash-dotted")[number // len(RUNS) % len(STYLES)]
