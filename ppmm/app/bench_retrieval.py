"""tools/bench.py retrieval: memory and time of R@K between very many pictures and captions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ppmm.app.document import write_document

__all__ = ["bench_retrieval", "print_retrieval"]

LIMIT_MB = 2048

# Runs in a new interpreter, so that nothing else counts. VmHWM is the peak of resident memory.
MEASURE = """
import json, sys, time
import numpy as np
from ppmm.metrics.retrieval import Retrieval
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
images, captions, dim = map(int, sys.argv[1:4])
rng = np.random.default_rng(0)
def unit(rows, noise):
    rows = rows + rng.standard_normal(rows.shape, dtype=np.float32) * noise
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
metric = Retrieval(["image", "text"], "key")
np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)
before, began = peak(), time.perf_counter()
for first in range(0, captions, 1000):
    keys = np.arange(first, min(first + 1000, captions)) * images // captions
    numbers = np.unique(keys)
    truth = np.stack([np.random.default_rng(int(key)).standard_normal(dim, dtype=np.float32) for key in numbers])
    truth = truth[np.searchsorted(numbers, keys)]
    outputs = {"image_embed": unit(truth, 0.0), "text_embed": unit(truth, 3.0)}
    metric.update(outputs, {"key": keys, "image": keys[:, None].astype(np.float32), "text": keys[:, None]})
kept = time.perf_counter() - began
figures = metric.compute()
print(json.dumps({"seconds": time.perf_counter() - began, "update_seconds": kept,
                  "cpu_seconds": time.process_time(), "peak_mb": peak() - before,
                  "baseline_mb": before, "figures": figures,
                  "details": metric.details()["retrieval"]["directions"]}))
"""


def bench_retrieval(images: int = 50_000, captions: int = 250_000, dim: int = 256) -> dict[str, Any]:
    """Both directions between ``images`` and ``captions`` made embeddings, in a process of its own.

    A caption is its picture with noise, so that some are found and some are not.

    Returns:
        images, captions, dim, seconds (of them update_seconds to keep the rows), cpu_seconds (of the
        process, where others use the machine too), peak_mb (peak of resident memory above
        baseline_mb, that of the imports), figures, details, limit_mb, within.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, (images, captions, dim))],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    sizes = {"images": images, "captions": captions, "dim": dim}
    return {**sizes, **found, "limit_mb": LIMIT_MB, "within": found["peak_mb"] <= LIMIT_MB}


def print_retrieval(images: int, captions: int, dim: int, out: Path | None = None) -> None:
    """`bench_retrieval` as a few lines; with ``out``, also as JSON."""
    found = bench_retrieval(images, captions, dim)
    verdict = "within" if found["within"] else "NOT within"
    print(
        f"{images:,} x {captions:,} embeddings of {dim}: {found['seconds']:.0f} s ({found['cpu_seconds']:.0f} of CPU), "
        f"{found['peak_mb']:.0f} MB above the imports' {found['baseline_mb']:.0f} MB: {verdict} {LIMIT_MB} MB"
    )
    print("  ".join(f"{name} {value:.4g}" for name, value in found["figures"].items()))
    write_document(out, found)
