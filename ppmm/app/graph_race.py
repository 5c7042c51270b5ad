"""How long graphs take, measured in turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError

__all__ = ["Graph", "race", "variants_of"]

Graph = Callable[[Mapping[str, np.ndarray]], Any]
CALLS, LEAST = 5, 5


def race(
    graphs: Mapping[str, Graph],
    inputs: Mapping[str, np.ndarray],
    rounds: int = 30,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = float("inf"),
) -> dict[str, list[float]]:
    """Milliseconds of the calls of each graph, in interleaved rounds: AAAA BBBB, AAAA BBBB, ...

    A graph answers `CALLS` times in a row before the next one has its turn, since a served model finds its weights in
    the processor's caches; the first of these is not counted.

    Args:
        graphs: by name.
        inputs: one batch, arrays by name.
        rounds: turns of each graph.
        clock: seconds.
        seconds: no further round begins after so many, once there were `LEAST` rounds.
    """
    times: dict[str, list[float]] = {name: [] for name in graphs}
    start = clock()
    for number in range(rounds):
        if number >= LEAST and clock() - start > seconds:
            break
        for name, graph in graphs.items():
            graph(inputs)
            for _ in range(CALLS - 1):
                began = clock()
                graph(inputs)
                times[name].append(1e3 * (clock() - began))
    return times


def variants_of(
    model: Any, specs: Mapping[str, Any], folder: Path, threads: int, bf16: bool = True
) -> dict[str, Graph]:
    """A model's graph under every back end that needs no calibration: ``plain``, ``onednn``, ``bf16``, and ``onnx``
    where it can be converted.

    Args:
        specs: shape and dtype of its inputs.
        folder: an empty one, for its files.
        threads: of the math library.
        bf16: whether this processor has such instructions.
    """
    from ppmm.export.bundle import graph_entry
    from ppmm.export.onnx_graph import ONNX, write_onnx
    from ppmm.runtime.backends import BACKENDS
    from ppmm.runtime.onnx_graph import OnnxGraph
    from ppmm.runtime.paddle_graph import PaddleGraph

    entry = graph_entry(model, specs, folder)
    files = [folder / name for name in entry["files"]]
    outputs = [output["name"] for output in entry["outputs"]]
    graphs: dict[str, Graph] = {backend: PaddleGraph(files, outputs, backend, threads) for backend in BACKENDS}
    with contextlib.suppress(ExportError):
        write_onnx(model, specs, folder / ONNX)
        graphs["onnx"] = OnnxGraph(folder / ONNX, outputs, threads)
    if bf16:
        graphs["bf16"] = PaddleGraph(files, outputs, "onednn", threads, "bf16")
    return graphs
