"""Bundles in bf16 and INT8: calibration rows, the graph's writer, and the gate on the task's own metric."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm import environment
from ppmm.app.checkpoints import Loaded
from ppmm.app.evaluate import subsets
from ppmm.app.experiment import build_metrics, build_rows, make_loader
from ppmm.app.picked_rows import rows_with_any, spread
from ppmm.compress.int8_forms import fit_for_int8, layer_names
from ppmm.compress.onnx_int8 import quantise_onnx
from ppmm.compress.post_training import PostTraining, quantise_graph
from ppmm.config import ExportSection
from ppmm.errors import CompressError, DataError, ExportError
from ppmm.export.agreement import check_drops
from ppmm.export.bundle import GraphWriter, graph_entry
from ppmm.export.onnx_graph import write_onnx
from ppmm.types import Dataset, FieldSpec

__all__ = ["PRECISIONS", "Int8", "graph_writer", "metric_gate", "wished", "with_onnx"]

PRECISIONS = ("fp32", "bf16", "int8")
GATE_ROWS = 2048
"""Rows of the split that the metric is compared on, spread evenly."""


@dataclass(frozen=True)
class Int8:
    """How to quantise: rows of calibration and what to do with them."""

    split: str
    rows: int
    options: PostTraining


def graph_writer(
    loaded: Loaded, precision: str, int8: Int8, report: dict[str, Any], old_ir: bool = False
) -> GraphWriter:
    """What writes a graph of a bundle in a precision; ``report`` takes what INT8 did to each layer, by graph."""
    if precision not in PRECISIONS:
        raise ExportError(f"no precision '{precision}'; there is {', '.join(PRECISIONS)}")
    processor = environment.cpu()
    if (precision == "bf16" and not processor.bf16) or (precision == "int8" and not processor.vnni):
        need = {"bf16": "bfloat16 (AVX512-BF16, AMX)", "int8": "INT8 (AVX512-VNNI, AVX-VNNI)"}[precision]
        print(f"this CPU has no instructions for {need}: {precision} will be slow here", file=sys.stderr)
    if precision == "int8":
        return _int8_writer(loaded, int8, report)
    return lambda model, specs, folder, name: graph_entry(model, specs, folder, name, precision, old_ir)


def with_onnx(write: GraphWriter, loaded: Loaded, precision: str, int8: Int8, report: dict[str, Any]) -> GraphWriter:
    """The same with an ONNX form of each graph beside it, in float32 or INT8."""
    if precision not in ("fp32", "int8"):
        raise ExportError(f"--onnx writes graphs in fp32 and int8 only, not {precision}")

    def both(model: Any, specs: Mapping[str, FieldSpec], folder: Path, name: str) -> dict[str, Any]:
        file = f"{name}.onnx"
        if precision == "fp32":
            write_onnx(model, specs, folder / file)
        else:  # before the layers take the forms of the other graph
            report[file] = _write_int8_onnx(model, specs, folder / file)
        return {**write(model, specs, folder, name), "onnx": file}

    def _write_int8_onnx(model: Any, specs: Mapping[str, FieldSpec], path: Path) -> dict[str, Any]:
        batches = calibration_batches(loaded, int8, list(specs))
        with tempfile.TemporaryDirectory(prefix="ppmm_onnx_") as scratch:
            write_onnx(model, specs, Path(scratch) / path.name)
            done = quantise_onnx(Path(scratch) / path.name, path, batches, int8.options.algorithm)
        print(f"int8 in {path.name}: {_told(done['layers'])}; in float32: {_told(done['fp32'])}", file=sys.stderr)
        return done

    return both


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"


def _int8_writer(loaded: Loaded, int8: Int8, report: dict[str, Any]) -> GraphWriter:
    def write(model: Any, specs: Mapping[str, FieldSpec], folder: Path, name: str) -> dict[str, Any]:
        batches = calibration_batches(loaded, int8, list(specs))
        fit_for_int8(model)
        names = layer_names(model)
        with tempfile.TemporaryDirectory(prefix="ppmm_fp32_") as scratch:
            entry = graph_entry(model, specs, Path(scratch), name, precision="int8", old_ir=True)
            files = [Path(scratch) / file for file in entry["files"]]
            done = quantise_graph(files, batches, folder / name, int8.options, names)
        report[name] = done
        kept = [layer["name"] for layer in done["layers"] if layer["precision"] == "fp32"]
        print(
            f"int8 in {name}: {len(done['layers']) - len(kept)} layers, ranges by {done['algorithm']} from "
            f"{done['rows']} rows of '{int8.split}'; in float32: {', '.join(kept) or 'no other layer'}; operators: "
            f"{_told(done['fp32_operators'])}",
            file=sys.stderr,
        )
        entry["quantisation"] = {key: done[key] for key in ("algorithm", "rows")} | {"kept": kept}
        return entry

    return write


def calibration_batches(loaded: Loaded, int8: Int8, inputs: list[str]) -> list[dict[str, np.ndarray]]:
    """Batches of the graph's inputs, as in evaluation, from rows spread evenly over the split.

    Raises CompressError where there are no rows, or all are of one class: ranges would be those of that class.
    """
    if int8.rows < 1:
        raise CompressError(f"--calibrate must be at least 1 row, got {int8.rows}")
    try:
        rows = spread(build_rows(loaded.config, int8.split), int8.rows)
    except DataError as error:
        raise CompressError(f"calibration needs real rows of the split '{int8.split}': {error}") from error
    if not len(rows):
        raise CompressError(f"the calibration set is empty: the split '{int8.split}' has no rows")
    seen: dict[str, set[int]] = {name: set() for name, target in loaded.answered().items() if target.kind == "label"}
    batches = []
    for batch in make_loader(loaded.config, rows, loaded.parts).epoch():
        for name, classes in seen.items():
            classes.update(batch[name].numpy().ravel().tolist())
        batches.append({name: batch[name].numpy() for name in inputs})
    for name, classes in seen.items():
        labels = loaded.parts.targets[name].labels or []
        if len(classes) == 1 and len(labels) > 1:
            raise CompressError(
                f"all {len(rows)} calibration rows of '{int8.split}' are of one class of '{name}', "
                f"'{labels[classes.pop()]}'; take more rows (--calibrate) or another split (--split)"
            )
    return batches


def metric_gate(
    loaded: Loaded, run: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]], split: str, max_drop: float
) -> dict[str, Any]:
    """The monitored metric of the trained model against that of a graph, for every non-empty set of fields.

    Args:
        run: the graph, arrays by name.

    Raises ExportError where it falls by more than ``max_drop``.
    """
    metric, higher = _metric(loaded)
    if metric is None:
        return {"metric": None, "reason": "the run monitors no metric: only the cosine was compared"}
    rows = spread(build_rows(loaded.config, split), GATE_ROWS)
    fields = list(loaded.parts.fields)
    figures = {}
    for without in subsets(fields):
        kept = [field for field in fields if field not in without]
        try:
            some = rows_with_any(rows, kept)
        except DataError:  # no row has any of them
            continue
        figures["+".join(kept)] = _figures(loaded, run, some, without, metric)
    return {"rows": len(rows), **check_drops(figures, metric, higher, max_drop)}


def _figures(loaded: Loaded, run: Any, rows: Dataset, without: tuple[str, ...], metric: str) -> tuple[float, float]:
    """(trained model, graph) on the same batches."""
    import paddle

    from ppmm.engine.evaluator import evaluate

    ours = build_metrics(loaded.config, loaded.parts)
    theirs = build_metrics(loaded.config, loaded.parts)
    names = [name for field, part in loaded.parts.fields.items() for name in part.specs(field)]
    for other in theirs:
        other.reset()

    def update(batch: Any, _: Any) -> None:
        found = run({name: batch[name].numpy() for name in names})
        outputs = {name: paddle.to_tensor(array) for name, array in found.items()}
        for other in theirs:
            other.update(outputs, batch)

    batches = make_loader(loaded.config, rows, loaded.parts, without=without).epoch()
    model = evaluate(loaded.model, batches, ours, None, update).figures
    graph = {name: value for other in theirs for name, value in other.compute().items()}
    return float(model[metric]), float(graph[metric])


def _metric(loaded: Loaded) -> tuple[str | None, bool]:
    """The monitored metric and whether more of it is better; None where the loss is monitored."""
    trainer = loaded.config["trainer"]
    metric = str(trainer.get("monitor", "accuracy"))
    return (None if metric == "loss" else metric), trainer.get("mode", "max") == "max"


def wished(loaded: Loaded) -> dict[str, Any]:
    """What the step ``convert`` has made the checkpoint's precision, with its settings; empty without it."""
    records = [record["args"] for record in loaded.checkpoint.manifest["transforms"] if record["name"] == "precision"]
    return dict(records[-1]) if records else {}


def int8_of(
    section: ExportSection,
    split: str,
    rows: int | None,
    algorithm: str | None,
    keep_worst: int,
    wish: Mapping[str, Any],
) -> Int8:
    """What the config, the checkpoint and the command line ask for together, the last first."""
    options = PostTraining(
        algorithm=algorithm or wish.get("algorithm") or section.algorithm,  # type: ignore[arg-type]
        keep_worst=keep_worst or wish.get("keep_worst", 0),
        keep=tuple(wish.get("keep", ())),
        bias_correction=wish.get("bias_correction", False),
    )
    wanted = rows if rows is not None else wish.get("calibrate")
    return Int8(split, section.calibration if wanted is None else wanted, options)
