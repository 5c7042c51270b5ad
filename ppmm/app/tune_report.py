"""What a study found: a table, the best values as overrides and as a YAML, and pictures."""

from __future__ import annotations

import io
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.document import write_document
from ppmm.app.report_figures import format_number, matplotlib_style
from ppmm.app.tune_space import override
from ppmm.app.tune_study import TuningStudy
from ppmm.config import dump, load
from ppmm.errors import PpmmError

__all__ = ["importances", "trial_rows", "write_report"]

BLUE, DARK, RED = "#7aa6c2", "#1f3b4d", "#b5432a"
LEAST = 4
"""Complete trials below which an importance says nothing."""


def write_report(folder: Path, study: TuningStudy, path: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Write ``trials.{json,md}``, ``best.yaml`` and the pictures; print the table and what to type next.

    Raises PpmmError when no trial is complete; the files are written all the same.
    """
    from ppmm.data.curate.table_writer import write_text

    rows = trial_rows(study)
    best = study.best()
    chosen = [] if best is None else [override(key, value) for key, value in study.values(best).items()]
    document = {
        "config": path, "overrides": list(overrides), "monitor": study.monitor, "mode": study.mode,
        "best": None if best is None else best.number, "best_overrides": chosen, "importances": importances(study),
        "trials": rows,
    }  # fmt: skip
    table = _table(study, rows)
    write_document(folder / "trials.json", document)
    write_text(folder / "trials.md", f"{table}\n")
    states = Counter(row["state"] for row in rows)
    print(table)
    print(f"{len(rows)} trials: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}")
    if best is None:
        raise PpmmError(f"no trial is complete; the last one: {rows[-1]['error'] if rows else 'there is none'}")
    for name, svg in _pictures(study, document["importances"]).items():
        write_text(folder / f"{name}.svg", svg)
    config = load(path, [*overrides, *chosen])
    config["name"] = f"{config['name']}-tuned"
    command = f"# python tools/train.py -c {folder / 'best.yaml'}\n"
    result = f"# result: {study.monitor} {best.value:.4f} on val in trial {best.number} of {len(rows)}\n"
    write_text(folder / "best.yaml", command + result + dump(config))
    print(f"best: trial {best.number}, {study.monitor} {best.value:.4f}")
    print(f"next: python tools/train.py -c {path} -o {shlex.join([*overrides, *chosen])}")
    print(f"the same as a YAML: {folder}/best.yaml; table and pictures: {folder}/*.{{md,json,svg}}")
    return document


def trial_rows(study: TuningStudy) -> list[dict[str, Any]]:
    """One entry per trial: number, state, value, epochs, values of the keys, seconds, error."""
    return [
        {
            "trial": trial.number,
            "state": "killed" if trial.user_attrs.get("retried") else trial.state.name.lower(),
            "value": trial.value,
            "epochs": max(trial.intermediate_values, default=0),
            "values": study.values(trial),
            "curve": {str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())},
            "seconds": None if trial.duration is None else round(trial.duration.total_seconds(), 1),
            "error": trial.user_attrs.get("error", ""),
        }
        for trial in study.trials
    ]


def importances(study: TuningStudy) -> dict[str, float]:
    """Share of the variance of the figure that each key explains (fANOVA, Hutter et al. 2014); {} of few trials."""
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if len(study.space) < 2 or len(complete) < LEAST or len({trial.value for trial in complete}) < 2:
        return {}
    import optuna

    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        found = optuna.importance.get_param_importances(study.study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # a key that had one value only
        return {}
    return {key: round(float(value), 4) for key, value in found.items()}


def _table(study: TuningStudy, rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["trial", "state", study.monitor, "epochs", *study.space]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        values = [_shown(row["values"].get(key)) for key in study.space]
        value = "–" if row["value"] is None else f"{row['value']:.4f}"
        lines.append("| " + " | ".join([str(row["trial"]), row["state"], value, str(row["epochs"]), *values]) + " |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = format_number(value) if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False)
    return text.strip('"').replace("|", "\\|")


def _pictures(study: TuningStudy, shares: Mapping[str, float]) -> dict[str, str]:
    """SVG by name: ``history``, ``parallel`` and, where it is known, ``importance``."""
    found = {"history": _history(study), "parallel": _parallel(study)}
    return {**found, "importance": _importance(shares)} if shares else found


def _history(study: TuningStudy) -> str:
    """The figure of each trial, and the best so far."""
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED" and trial.value is not None]
    best = (np.maximum if study.mode == "max" else np.minimum).accumulate([trial.value for trial in complete])
    with matplotlib_style():
        figure, axes = _axes(3.4)
        numbers = [trial.number for trial in complete]
        axes.step(numbers, best, where="post", color=DARK, linewidth=1.6, label="best so far")
        axes.plot(numbers, [trial.value for trial in complete], "o", color=BLUE, markersize=5, label="complete")
        if pruned:
            axes.plot([t.number for t in pruned], [t.value for t in pruned], "x", color=RED, label="pruned")
        axes.set_xlabel("trial")
        axes.set_ylabel(study.monitor)
        axes.legend(frameon=False)
        return _svg(figure)


def _parallel(study: TuningStudy) -> str:
    """A line for each complete trial through its values, darker where the figure is better."""
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    complete.sort(key=lambda trial: trial.value, reverse=study.mode == "min")  # the best is drawn last
    keys = list(study.space)
    with matplotlib_style():
        from matplotlib import colormaps

        figure, axes = _axes(4.0)
        places = {key: _places(study, key, [trial.params[key] for trial in complete]) for key in keys}
        values = np.array([trial.value for trial in complete], dtype=float)
        span = max(float(np.ptp(values)), 1e-12)
        heights = (values - values.min()) / span
        for number in range(len(complete)):
            good = heights[number] if study.mode == "max" else 1.0 - heights[number]
            line = [*(places[key][number] for key in keys), heights[number]]
            axes.plot(range(len(line)), line, color=colormaps["Blues"](0.25 + 0.75 * good), linewidth=1.2)
        axes.set_xticks(range(len(keys) + 1), [*(key.split(".", 1)[-1] for key in keys), study.monitor])
        axes.set_yticks([])
        for place, key in enumerate(keys):
            low, high = _ends(study, key)
            axes.annotate(low, (place, -0.07), ha="center", fontsize=8, annotation_clip=False)
            axes.annotate(high, (place, 1.03), ha="center", fontsize=8, annotation_clip=False)
        axes.annotate(format_number(values.min()), (len(keys), -0.07), ha="center", fontsize=8)
        axes.annotate(format_number(values.max()), (len(keys), 1.03), ha="center", fontsize=8)
        axes.set_ylim(-0.1, 1.1)
        return _svg(figure)


def _places(study: TuningStudy, key: str, parameters: Sequence[Any]) -> np.ndarray:
    """0..1 of each parameter within its range; choices in equal steps."""
    dimension = study.space[key]
    if dimension.kind == "choice":
        values = [dimension.value_of(parameter) for parameter in parameters]
        return np.array([dimension.values.index(value) for value in values]) / (len(dimension.values) - 1)
    low, high = dimension.values
    scale = np.log if dimension.is_log else np.asarray
    return np.asarray((scale(np.array(parameters, float)) - scale(low)) / (scale(high) - scale(low)))


def _ends(study: TuningStudy, key: str) -> tuple[str, str]:
    low, high = study.space[key].values[0], study.space[key].values[-1]
    return _shown(low)[:18], _shown(high)[:18]


def _importance(shares: Mapping[str, float]) -> str:
    with matplotlib_style():
        figure, axes = _axes(0.9 + 0.35 * len(shares))
        axes.barh(list(shares), list(shares.values()), color=BLUE)
        axes.invert_yaxis()
        axes.set_xlabel("share of the variance that it explains (fANOVA)")
        return _svg(figure)


def _axes(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, height), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
