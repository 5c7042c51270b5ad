"""tools/bench.py bundle: what one answer of a bundle costs on this machine, from file to label."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.document import write_document
from ppmm.types import Sample

__all__ = ["bench_bundle", "print_bundle"]


def print_bundle(bundle: str, weights: str, split: str, samples: int, json_file: Path | None) -> None:
    """Measure on rows of a checkpoint's data; print the figures, and write them to ``json_file``."""
    figures = bench_bundle(bundle, _samples(weights, split, samples))
    print("  ".join(f"{name} {value}" for name, value in figures.items()))
    write_document(json_file, figures)


def bench_bundle(bundle: str, samples: Sequence[Sample], threads: int = 1, warm_up: int = 5) -> dict[str, Any]:
    """Answer ``samples`` one by one with Paddle Inference (oneDNN), preprocessing included.

    Returns: ``p50_ms`` and ``p95_ms`` of one answer, ``memory_mb`` that loading and answering added to the resident
    memory of the process, ``size_mb`` of the bundle on disk, ``samples``, ``threads``.
    """
    from ppmm.runtime import Predictor

    before = _resident_mb()
    predictor = Predictor(bundle, threads=threads)
    for sample in samples[:warm_up]:
        predictor.outputs([sample])
    times = []
    for sample in samples:
        began = time.perf_counter()
        predictor.outputs([sample])
        times.append(1e3 * (time.perf_counter() - began))
    size = sum(file.stat().st_size for file in Path(bundle).rglob("*") if file.is_file())
    return {
        "p50_ms": round(float(np.percentile(times, 50)), 3),
        "p95_ms": round(float(np.percentile(times, 95)), 3),
        "memory_mb": round(_resident_mb() - before, 1),
        "size_mb": round(size / 1e6, 3),
        "samples": len(samples),
        "threads": threads,
    }


def _samples(weights: str, split: str, count: int) -> list[Sample]:
    """Raw rows spread over a split of the checkpoint's data, with its fields only."""
    from ppmm.app.checkpoints import CONFIG
    from ppmm.app.experiment import build_rows, checked
    from ppmm.config import loads
    from ppmm.engine.checkpoint import read_checkpoint

    config = checked(loads(read_checkpoint(Path(weights)).text(CONFIG), file=CONFIG), trusted=())
    rows = build_rows(config, split)
    picked = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
    return [{name: row[name] for name in config["fields"] if name in row} for row in (rows[int(i)] for i in picked)]


def _resident_mb() -> float:
    """Resident memory of this process, Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    import resource

    return pages * resource.getpagesize() / 1e6
