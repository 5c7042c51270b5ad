"""What a bundle costs on this machine: stages, batches, threads and back ends, measured in turns."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError
from ppmm.runtime.backends import backends_of, parse_device
from ppmm.runtime.bundle import read_bundle
from ppmm.runtime.predictor import MAIN, Predictor

__all__ = ["STAGES", "benchmark"]

STAGES = ("preprocess", "collate", "model", "postprocess")
CALLS = 4


def benchmark(
    folder: str,
    backends: Sequence[str],
    batches: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    device: str = "cpu",
) -> dict[str, Any]:
    """Rows by back end, batch and threads, and the time and memory of a start.

    Args:
        folder: bundle, with golden samples.
        backends: their names; empty for all that the bundle has on the device.
        batches: samples of a call.
        threads: of the math library.
        rounds: turns of each combination; those of one batch and thread count take turns, so that other load on the
            machine hits all of them alike.
        device: ``cpu`` or ``gpu:0``.

    Returns: ``rows`` with ``backend``, ``threads``, ``batch``, ``p50_ms``, ``p90_ms``, ``p99_ms`` of a whole answer,
    ``samples_per_second``, and the median of each stage in ``stages_ms``; ``start`` by back end with ``seconds`` and
    ``memory_mb``. Raises ExportError without golden samples.
    """
    bundle = read_bundle(Path(folder))
    if bundle.golden is None or not bundle.golden.samples:
        raise ExportError(f"{folder} has no golden samples to measure on (export.golden: 0)")
    samples = bundle.golden.samples
    chosen = list(backends) or list(backends_of(bundle.graph(MAIN), parse_device(device)))
    rows: list[dict[str, Any]] = []
    for count in threads:
        predictors = {name: Predictor(folder, name, count, device=device) for name in chosen}  # type: ignore[arg-type]
        for batch in batches:
            some = [samples[row % len(samples)] for row in range(batch)]
            times: dict[str, list[tuple[float, ...]]] = {name: [] for name in chosen}
            for _ in range(rounds):
                for name, predictor in predictors.items():
                    predictor.predict(some)
                    times[name] += [_stages(predictor, some) for _ in range(CALLS)]
            rows += [_row(name, count, batch, np.array(each)) for name, each in times.items()]
    start = {name: _start(folder, name, device) for name in chosen}
    return {"bundle": str(folder), "samples": len(samples), "rows": rows, "start": start}


def _stages(predictor: Predictor, samples: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Milliseconds of each of `STAGES`; preprocessing is reading and decoding, too."""
    marks = [time.perf_counter()]
    arrays = [predictor.convert(sample) for sample in samples]
    marks.append(time.perf_counter())
    batch = predictor.collate(arrays)
    marks.append(time.perf_counter())
    outputs = predictor.run(batch, predictor.graph_for(arrays))
    marks.append(time.perf_counter())
    predictor.read(batch, outputs)
    marks.append(time.perf_counter())
    return tuple(1e3 * float(step) for step in np.diff(marks))


def _row(name: str, threads: int, batch: int, times: np.ndarray) -> dict[str, Any]:
    """Figures of one combination from its stages [calls, stages]."""
    whole = times.sum(axis=1)
    p50, p90, p99 = (round(float(value), 4) for value in np.percentile(whole, (50, 90, 99)))
    stages = dict(zip(STAGES, np.median(times, axis=0).round(4).tolist(), strict=True))
    row = {"backend": name, "threads": threads, "batch": batch, "p50_ms": p50, "p90_ms": p90, "p99_ms": p99}
    return {**row, "samples_per_second": round(1e3 * batch / p50, 1), "stages_ms": stages}


def _start(folder: str, backend: str, device: str) -> dict[str, float]:
    """Seconds from nothing to the first answer in a new process, and its resident memory then."""
    began = time.perf_counter()
    command = [sys.executable, "-c", START, folder, backend, device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"{folder} does not start under {backend}: {done.stderr[-300:]}")
    seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 2), "memory_mb": round(float(done.stdout.split()[-1]), 1)}


START = """
import resource, sys
from ppmm.runtime import Predictor
predictor = Predictor(sys.argv[1], sys.argv[2], device=sys.argv[3])
predictor.predict(predictor.bundle.golden.samples[:1])
pages = int(open("/proc/self/statm").read().split()[1])
print(pages * resource.getpagesize() / 1e6)
"""
