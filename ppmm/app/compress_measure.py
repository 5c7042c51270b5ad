"""What a compression has won on this machine: latency, throughput, memory, size, FLOPs and figures of every step."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ppmm import environment
from ppmm.app.checkpoints import Loaded
from ppmm.app.evaluate import evaluate_rows, subsets
from ppmm.app.experiment import build_rows, make_loader
from ppmm.app.export import export_checkpoint
from ppmm.app.graph_race import Graph, race, variants_of
from ppmm.app.picked_rows import PickedRows, rows_with_any, spread
from ppmm.data.collate import Collate
from ppmm.data.columns import column_of
from ppmm.data.prepared import Prepared
from ppmm.errors import CompressError, DataError, ExportError
from ppmm.export.onnx_graph import ONNX
from ppmm.models.flops import count_flops
from ppmm.runtime import Predictor

__all__ = ["BATCHES", "Measured", "int8_bundle", "measure"]

BATCHES = (1, 8)
ROUNDS, SECONDS = 40, 30.0
"""Turns of each graph in a race, and after how long none begins any more."""
ROWS, ROWS_OF_SUBSETS = 4096, 512
"""Of val, spread evenly: for the figures with all fields, and for those of every other set of them."""
CALLS_OF_PROFILE = 30
PREPARED = 40
"""Rows that are decoded to tell how long that takes."""


@dataclass
class Measured:
    """One model of the compression.

    Args:
        name: ``dense`` or that of a step.
        loaded: its checkpoint.
        bf16: whether it is also measured in bfloat16.
        int8: the bundle in INT8 that is measured beside it, None for none.
    """

    name: str
    loaded: Loaded
    bf16: bool = False
    int8: Path | None = None


def measure(models: Sequence[Measured], threads: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure all models in the same rounds.

    Returns ``{"threads", "cpu", "rounds", "models": [...]}``. Each model has ``name``, ``parameters``, ``flops`` (of a
    sample), ``metrics`` by the fields that are there, ``prepare_ms`` (median for decoding a sample and computing its
    features, which end to end comes on top of the graph), ``operators`` (share of the time by kind in ONNX Runtime)
    and ``graphs``: of each precision and back end ``latency`` in ms by batch (p50, p90, p99), ``throughput`` in
    samples per second by batch, ``bytes`` of graph and weights, ``memory_mb`` of a process more than before it had
    loaded them.
    """
    with tempfile.TemporaryDirectory(prefix="ppmm_measure_") as name:
        folder = Path(name)
        samples = [_sample(each.loaded) for each in models]
        graphs = [_graphs(each, folder / str(number), threads) for number, each in enumerate(models)]
        times = {batch: _race(graphs, samples, batch, rounds) for batch in BATCHES}
        documents = []
        for number, (each, own, sample) in enumerate(zip(models, graphs, samples, strict=True)):
            print(f"measuring {each.name}: figures of every set of fields", file=sys.stderr, flush=True)
            places = {key: _files(each, key, folder / str(number)) for key in own}
            documents.append(
                {
                    "name": each.name,
                    "parameters": sum(int(parameter.size) for parameter in each.loaded.model.parameters()),
                    "flops": count_flops(each.loaded.model, _first(sample)),
                    "metrics": _figures(each.loaded),
                    "prepare_ms": _preparation(each.loaded),
                    "operators": _operators(places["fp32 onnx"][0], _arrays(each.loaded, _first(sample)))
                    if "fp32 onnx" in own
                    else {},
                    "graphs": [
                        _graph_document(key, [times[batch][f"{number} {key}"] for batch in BATCHES], places[key])
                        | {"memory_mb": _memory(key, places[key], each.loaded, _first(sample), threads)}
                        for key in own
                    ],
                }
            )
    return {"threads": threads, "cpu": environment.cpu().model, "rounds": rounds, "models": documents}


def int8_bundle(checkpoint: Path, folder: Path) -> tuple[Path | None, str]:
    """The checkpoint as a bundle in INT8, in ONNX too, under the gates of every export; None and why not."""
    try:
        export_checkpoint(str(checkpoint), str(folder), precision="int8", onnx=True, towers=False)
    except (CompressError, ExportError) as error:
        return None, str(error)
    return folder, ""


def _graphs(each: Measured, folder: Path, threads: int) -> dict[str, Graph]:
    """``fp32 plain`` and so on -> what answers a batch."""
    folder.mkdir()
    found = variants_of(each.loaded.model, each.loaded.parts.specs(), folder, threads, each.bf16)
    graphs = {("bf16 onednn" if name == "bf16" else f"fp32 {name}"): graph for name, graph in found.items()}
    if each.int8 is not None:
        graphs["int8 onednn"] = Predictor(each.int8, threads=threads, self_test=False).graph
        graphs["int8 onnx"] = Predictor(each.int8, "onnx", threads, self_test=False).graph
    return graphs


def _race(
    graphs: Sequence[Mapping[str, Graph]], samples: Sequence[Any], batch: int, rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of ``<number> <key>``, each graph with its own model's inputs."""
    callers: dict[str, Graph] = {}
    for number, (own, (loaded, whole)) in enumerate(zip(graphs, samples, strict=True)):
        inputs = _arrays(loaded, whole if batch > 1 else _first((loaded, whole)))
        for key, graph in own.items():
            callers[f"{number} {key}"] = lambda _, graph=graph, inputs=inputs: graph(inputs)  # type: ignore[misc]
    print(f"measuring {len(callers)} graphs at batch {batch}", file=sys.stderr, flush=True)
    return race(callers, {}, rounds, seconds=SECONDS)


def _sample(loaded: Loaded) -> Any:
    """The model with a batch of 8 real rows that have all fields."""
    rows = build_rows(loaded.config, "val")
    columns = [column_of(rows, name) for name in loaded.parts.fields]
    complete = [number for number, row in enumerate(zip(*columns, strict=True)) if None not in row]
    if not complete:
        raise CompressError(
            f"data.val has no row with all of {', '.join(loaded.parts.fields)}: nothing to measure with"
        )
    picked = spread(PickedRows(rows, complete), max(BATCHES))
    return loaded, next(make_loader(loaded.config, picked, loaded.parts).epoch())


def _first(sample: Any) -> dict[str, Any]:
    """The first row of a batch, without its padding."""
    _, batch = sample
    one = {name: tensor[:1] for name, tensor in batch.items()}
    for name in batch:
        if f"{name}_mask" in batch:
            length = int(batch[f"{name}_mask"][0].astype("int64").sum())
            one |= {key: one[key][:, :length] for key in (name, f"{name}_mask")}
    return one


def _arrays(loaded: Loaded, batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: batch[name].numpy() for name in loaded.parts.specs()}


def _files(each: Measured, key: str, folder: Path) -> list[Path]:
    """What a back end reads."""
    place = each.int8 if key.startswith("int8") else folder
    assert place is not None
    files = sorted(file for file in place.iterdir() if file.name.startswith("main."))
    return [file for file in files if (file.name == ONNX) == key.endswith("onnx")]


def _graph_document(key: str, times: Sequence[Sequence[float]], files: Sequence[Path]) -> dict[str, Any]:
    precision, backend = key.split()
    latency, throughput = {}, {}
    for batch, values in zip(BATCHES, times, strict=True):
        p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
        latency[str(batch)] = {"p50": p50, "p90": p90, "p99": p99}
        throughput[str(batch)] = 1e3 * batch / p50
    size = sum(file.stat().st_size for file in files)
    return {"precision": precision, "backend": backend, "latency": latency, "throughput": throughput, "bytes": size}


def _preparation(loaded: Loaded) -> float:
    """Median ms from raw values of a row to the arrays of a batch of one."""
    rows = build_rows(loaded.config, "val")
    fields = loaded.parts.fields
    collate = Collate(fields, {})
    times = []
    for number in np.linspace(0, len(rows) - 1, PREPARED).astype(int):
        row = rows[int(number)]
        sample = {"id": "row", **{name: row[name] for name in fields if row.get(name) is not None}}
        began = time.perf_counter()
        collate([Prepared([sample], fields, {})[0, 0]])  # type: ignore[arg-type]
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times))


def _figures(loaded: Loaded) -> dict[str, dict[str, float]]:
    """The task's figures on val for every set of fields; the loss is one of them."""
    loaded.model.eval()
    every = build_rows(loaded.config, "val")
    fields = list(loaded.parts.fields)
    found = {}
    for without in subsets(fields):
        kept = [field for field in fields if field not in without]
        try:
            some = rows_with_any(spread(every, ROWS_OF_SUBSETS if without else ROWS), kept)
        except DataError:  # no row has any of them
            continue
        result = evaluate_rows(replace(loaded), some, without=without, progress=False)
        found["+".join(kept)] = result.evaluation.figures
    return found


def _operators(file: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Kind of operator -> its share of ONNX Runtime's time, largest first; batch 1, one thread."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="ppmm_profile_") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "p")
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        feed = {each.name: inputs[each.name] for each in session.get_inputs()}
        for _ in range(CALLS_OF_PROFILE):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    totals: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            kind = event["args"]["op_name"]
            totals[kind] = totals.get(kind, 0.0) + event["dur"]
    whole = sum(totals.values()) or 1.0
    return {kind: value / whole for kind, value in sorted(totals.items(), key=lambda item: -item[1])}


def _memory(key: str, files: Sequence[Path], loaded: Loaded, batch: Mapping[str, Any], threads: int) -> float | None:
    """MB (10^6 bytes) by which a new process that loads the graph and answers grows at most; None where it fails."""
    precision, backend = key.split()
    names = [file for file in files if file.suffix != ".pdiparams"] + [
        file for file in files if file.suffix == ".pdiparams"
    ]
    with tempfile.TemporaryDirectory(prefix="ppmm_memory_") as folder:
        np.savez(Path(folder) / "inputs.npz", **_arrays(loaded, batch))  # type: ignore[arg-type]
        request = {
            "files": [str(file) for file in names], "outputs": sorted(loaded.model.outputs), "backend": backend,
            "threads": threads, "precision": precision, "inputs": str(Path(folder) / "inputs.npz"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", LOAD, json.dumps(request)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    words = done.stdout.split()
    return float(words[-1]) if done.returncode == 0 and words else None


LOAD = """
import json, sys
import numpy as np
from pathlib import Path
from ppmm.runtime.onnx_graph import OnnxGraph
from ppmm.runtime.paddle_graph import PaddleGraph
request = json.loads(sys.argv[1])
files = [Path(file) for file in request["files"]]
if request["backend"] == "onnx":
    import onnxruntime
else:
    import paddle.inference
def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))
before = memory("VmRSS")
if request["backend"] == "onnx":
    graph = OnnxGraph(files[0], request["outputs"], request["threads"])
else:
    graph = PaddleGraph(files, request["outputs"], request["backend"], request["threads"], request["precision"])
inputs = dict(np.load(request["inputs"]))
for _ in range(3):
    graph(inputs)
print(max(0.0, memory("VmHWM") - before))
"""
