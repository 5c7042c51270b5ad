"""compress_report.html: what each step of a compression has won and lost, and in words where one does not pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.compress_measure import BATCHES, Measured, int8_bundle, measure
from ppmm.app.report import render_page, write_page
from ppmm.app.report_figures import RUNS, Picture, draw_curves
from ppmm.app.report_figures import curve_of as curve
from ppmm.environment import cpu

__all__ = ["best_graph", "results_row", "statements", "write_compress_report"]

PAYS = 1.03
"""Less of a speed-up than this is noise."""
INT8 = "int8"


def write_compress_report(
    folder: Path, document: Mapping[str, Any], baseline: Path, threads: int, plugins: Sequence[str] = ()
) -> dict[str, Any]:
    """Measure the model before compression and after each step, and write the page.

    Args:
        folder: of the compression; its last checkpoint is also exported there in INT8, as the bundle ``int8``, where
            this processor computes in it and the export's gates let it pass.
        document: what ``compress_report.json`` holds, without ``measured``.
        baseline: checkpoint of the dense model.
        threads: of the graphs.
        plugins: code that the checkpoints may import.

    Returns the document with ``measured``.
    """
    processor = cpu()
    models = [Measured("dense", load_checkpoint(baseline, plugins=plugins), bf16=processor.bf16)]
    models += [
        Measured(f"{number} {step['name']}", load_checkpoint(step["checkpoint"], plugins=plugins))
        for number, step in enumerate(document["steps"], start=1)
    ]
    reason = "this processor has no instructions for it"
    if processor.vnni:
        models[-1].int8, reason = int8_bundle(Path(document["steps"][-1]["checkpoint"]), folder / INT8)
    found = measure(models, threads)
    metric, higher = document["metric"], document["higher"]
    found["statements"] = statements(found["models"], metric, higher, "" if models[-1].int8 else reason)
    whole = {**document, "measured": found}
    write_page(folder / "compress_report.html", compress_page(whole))
    return whole


def best_graph(model: Mapping[str, Any], precision: str = "fp32", backends: Sequence[str] = ()) -> Mapping[str, Any]:
    """The one of lowest median latency at batch 1 in a precision."""
    graphs = [
        graph
        for graph in model["graphs"]
        if graph["precision"] == precision and (not backends or graph["backend"] in backends)
    ]
    return min(graphs, key=_p50)


def statements(models: Sequence[Mapping[str, Any]], metric: str, higher: bool, no_int8: str = "") -> list[str]:
    """One sentence for each step and each low precision: what it won, and where it does not pay, why."""
    told = []
    for before, after in pairwise(models):
        same = before["parameters"] == after["parameters"] and before["flops"] == after["flops"]
        words = "the same graph" if same else _compared(best_graph(before), best_graph(after), after)
        told.append(f"{after['name']}: {words}{_figure(before, after, metric, higher)}.")  # fmt: skip
    for model in models:
        own = best_graph(model)
        for precision in ("bf16", INT8):
            if any(graph["precision"] == precision for graph in model["graphs"]):
                low = best_graph(model, precision)
                told.append(f"{precision} of {model['name']}: {_compared(own, low, model)}.")
    if no_int8:
        told.append(f"int8 was not measured: {no_int8}.")
    return told


def _compared(before: Mapping[str, Any], after: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    ratio, smaller = _p50(before) / _p50(after), before["bytes"] / after["bytes"]
    where = f"{_p50(before):.3f} to {_p50(after):.3f} ms on {before['backend']}"
    if after["backend"] != before["backend"]:
        where += f" and {after['backend']}"
    if ratio >= PAYS:
        words = f"{ratio:.2f}x faster at batch 1 ({where})"
    else:
        slower = f"{100 * (1 / ratio - 1):.0f} % slower" if ratio < 1 / PAYS else "as fast as before"
        words = f"does not pay in time here, {slower} ({where}){_why(model)}"
    size = f"{smaller:.2f}x smaller" if smaller >= PAYS else ("no smaller" if smaller > 1 / PAYS else "larger")
    return f"{words}, {size}"


def _why(model: Mapping[str, Any]) -> str:
    """What most of the time goes to."""
    shares = list(model["operators"].items())[:2]
    return ": " + " and ".join(f"{kind} takes {100 * share:.0f} %" for kind, share in shares) if shares else ""


def _figure(before: Mapping[str, Any], after: Mapping[str, Any], metric: str, higher: bool) -> str:
    ours, theirs = (_whole(each).get(metric) for each in (before, after))
    if ours is None or theirs is None:
        return ""
    lost = (ours - theirs) if higher else (theirs - ours)
    word = "lost" if lost >= 0 else "won"
    return f", {metric} {ours:.4f} to {theirs:.4f} ({100 * abs(lost):.2f} points {word})"


def _whole(model: Mapping[str, Any]) -> dict[str, float]:
    """The figures with all fields."""
    first: dict[str, float] = next(iter(model["metrics"].values()), {})
    return first


def results_row(document: Mapping[str, Any], name: str, command: str) -> dict[str, Any]:
    """The entry of ``docs/results.json`` under ``compression``: the smallest of the fastest at the end against dense.

    ``speedup_p50`` is against the dense float32 model on its best back end of all, ``speedup_p50_paddle`` against its
    best one of Paddle Inference.
    """
    models = document["measured"]["models"]
    dense, last = models[0], models[-1]
    precision = INT8 if any(graph["precision"] == INT8 for graph in last["graphs"]) else "fp32"
    own, base = best_graph(last, precision), best_graph(dense)
    paddle = best_graph(dense, backends=("plain", "onednn"))
    metric = document["metric"]
    before, after = (_whole(each)[metric] for each in (dense, last))
    drop = (before - after) if document["higher"] else (after - before)
    return {
        "name": name, "speedup_p50": _p50(base) / _p50(own), "speedup_p50_paddle": _p50(paddle) / _p50(own),
        "speedup_end_to_end": (models[0]["prepare_ms"] + _p50(base)) / (last["prepare_ms"] + _p50(own)),
        "size_ratio": paddle["bytes"] / own["bytes"], "metric": metric, "metric_drop": drop,
        "baseline": {"backend": base["backend"], "p50_ms": _p50(base), "paddle_p50_ms": _p50(paddle), metric: before},
        "compressed": {"backend": own["backend"], "precision": precision, "p50_ms": _p50(own), "bytes": own["bytes"],
                       metric: after},
        "threads": document["measured"]["threads"], "cpu": document["measured"]["cpu"], "command": command,
    }  # fmt: skip


def compress_page(document: Mapping[str, Any]) -> str:
    """One page of HTML: words, picture, numbers of every graph, figures of every set of fields."""
    measured = document["measured"]
    models = measured["models"]
    fields = list(dict.fromkeys(key for model in models for key in model["metrics"]))
    names = list(dict.fromkeys(name for model in models for each in model["metrics"].values() for name in each))
    return render_page(
        "compress_report.html.j2", title=f"{document['name']}: compression", document=document, measured=measured,
        models=models, batches=[str(batch) for batch in BATCHES], fields=fields, figures=names,
        picture=_picture(models),
    )  # fmt: skip


def _picture(models: Sequence[Mapping[str, Any]]) -> Picture:
    """Median latency at batch 1 of each back end, from step to step."""
    keys = list(dict.fromkeys((graph["precision"], graph["backend"]) for model in models for graph in model["graphs"]))
    curves = []
    for number, (precision, backend) in enumerate(keys):
        points = [
            (place, _p50(graph))
            for place, model in enumerate(models)
            for graph in model["graphs"]
            if (graph["precision"], graph["backend"]) == (precision, backend)
        ]
        curves.append(curve(f"{precision} {backend}", RUNS[number % len(RUNS)], points))
    return draw_curves("median latency at batch 1, ms", curves, "latency-", across="step", legend=True)


def _p50(graph: Mapping[str, Any]) -> float:
    return float(graph["latency"]["1"]["p50"])
