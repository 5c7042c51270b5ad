"""tools/sensitivity.py: what pruning each layer and each tower of a checkpoint costs, with curves and advice."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.claim import claim
from ppmm.app.compress_context import StepContext
from ppmm.app.experiment import open_experiment, set_device
from ppmm.app.report import render_page, write_page
from ppmm.app.report_figures import RUNS, Curve, Picture, curve_of, draw_curves
from ppmm.config import ConfigNode
from ppmm.config.node import plain
from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = ["ROWS", "sensitivity", "sensitivity_page"]

ROWS = 512
"""Of the val split, if nothing else is said."""
GRADIENT_ROWS = 256
STYLES = ("-", "--", ":", "-.")
LEGEND = 8
"""Curves that a legend may name."""


def sensitivity(
    path: str,
    weights: str,
    overrides: Sequence[str] = (),
    *,
    out: str | None = None,
    ratios: Sequence[float] | None = None,
    rows: int | None = ROWS,
    criterion: str = "l1",
    metric: str | None = None,
) -> dict[str, Any]:
    """Measure, print advice, write ``sensitivity.json`` and ``sensitivity.html``; returns what is in the JSON.

    Args:
        path: YAML of the experiment.
        weights: checkpoint folder.
        overrides: ``a.b.c=value``.
        out: folder; ``<output>/<name>/sensitivity`` when None. What is there of the same weights, rows and criterion is
            not measured again.
        ratios: shares of the units that are tried; `ppmm.compress.sensitivity.RATIOS` when None.
        rows: of the val split, spread evenly over it; all when None.
        criterion: what goes first.
        metric: the figure; the one that training watches when None.

    Raises ConfigError, CheckpointError, DataError or CompressError.
    """
    from ppmm.compress.gradients import gradients_of
    from ppmm.compress.sensitivity import RATIOS, Figure, Sensitivity

    measurement = Sensitivity(RATIOS if ratios is None else ratios, criterion)
    config = open_experiment(path, overrides)
    set_device(config)
    loaded = load_checkpoint(weights, config, config.get("plugins", []))
    loaded.model.eval()
    folder = Path(config["output"]) / str(config["name"]) / "sensitivity" if out is None else Path(out)
    with claim(folder):
        context = StepContext(path, overrides, loaded, folder, Path(weights))
        figure = Figure(*_direction(context, metric), lambda model: context.evaluate(model, "val", rows))
        gradients = None
        if criterion in ("taylor", "hessian"):
            batches = context.batches("train", GRADIENT_ROWS)
            gradients = gradients_of(loaded.model, context.objective, batches, context.seed)
        identity = {"split": "val", "rows": rows, "data": _fingerprint(config)}
        place = folder / "sensitivity.json"
        document = measurement.measure(
            loaded.model, context.sample, figure, place, gradients=gradients, identity=identity, say=context.say
        )
        write_page(folder / "sensitivity.html", sensitivity_page(document, f"{config['name']}: sensitivity to pruning"))
    print("\n".join(document["advice"]))
    print(f"curves: {place}\npage:   {folder / 'sensitivity.html'}")
    return document


def _direction(context: StepContext, metric: str | None) -> tuple[str, bool]:
    """The figure, and whether more of it is better. Raises ConfigError for one of which that is not known."""
    from ppmm.app.report_compare import more_is_better

    if metric is None or metric == context.metric:
        return context.metric, context.higher
    better = more_is_better(metric, [])
    if better is None:
        raise ConfigError(
            f"--metric {metric}: it is not known whether more of it is better{did_you_mean(metric, [context.metric])}"
        )
    return metric, better


def _fingerprint(config: ConfigNode) -> str:
    """What tells the rows and how they are read from others."""
    told = {key: plain(config[key]) for key in ("data", "fields", "metrics") if key in config}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def sensitivity_page(document: Mapping[str, Any], title: str) -> str:
    """One page of HTML: advice, the curves of the towers, those of each tower's layers, and all numbers."""
    towers = document["towers"]
    pictures = [_picture(document, "each tower by itself", towers, "t-")]
    for number, tower in enumerate(towers):
        layers = {name: curve for name, curve in document["layers"].items() if curve["tower"] == tower}
        if layers:
            pictures.append(_picture(document, f"layers of {tower}", layers, f"l{number}-"))
    rows = [
        (kind, name, curve["units"], point)
        for kind, curves in (("tower", towers), ("layer", document["layers"]))
        for name, curve in curves.items()
        for point in curve["points"]
    ]
    return render_page(
        "sensitivity.html.j2", title=title, document=document, pictures=pictures, rows=rows, percent=_percent
    )


def _picture(document: Mapping[str, Any], title: str, curves: Mapping[str, Any], prefix: str) -> Picture:
    """The figure against the ratio; all curves begin with that of the whole model."""
    drawn: list[Curve] = []
    for number, (name, curve) in enumerate(curves.items()):
        points = [(0.0, document["base"])]
        points += [(one["ratio"], math.nan if one["value"] is None else one["value"]) for one in curve["points"]]
        drawn.append(curve_of(name, RUNS[number % len(RUNS)], points, STYLES[number // len(RUNS) % len(STYLES)]))
    name = f"{document['metric']}: {title}"
    return draw_curves(name, drawn, prefix, across="share of the units that goes", legend=len(drawn) <= LEGEND)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
