"""tools/bench.py memory: what a contrastive step over a large batch costs, at once, in chunks and in blocks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ppmm.app.document import write_document

__all__ = ["bench_memory", "print_memory"]

# Each runs in a new interpreter, so that nothing else counts. VmHWM is the peak of resident memory; the first, small
# step makes what stays (optimizer, buffers of the matrix library), which is the baseline.
START = """
import json, sys, time
import numpy as np
import ppmm
import paddle
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
rows, chunk, steps = map(int, sys.argv[1:4])
rng = np.random.default_rng(0)
paddle.seed(0)
"""
STEP = """
from ppmm.engine.step import TrainStep, scheduled
from ppmm.models.encoders.text_transformer import TextTransformer
from ppmm.models.encoders.vit import VisionTransformer
from ppmm.models.two_tower import TwoTower
from ppmm.objectives.info_nce import InfoNCE
from ppmm.optim.optimizers import SGD
image = VisionTransformer(3, size=[32, 32], patch=4, dim=128, depth=4)
model = TwoTower({"image": image, "text": TextTransformer(1000, dim=128, layers=2, dropout=0.0)}, dim=128)
objective = InfoNCE(["image", "text"])
scheduler = scheduled(0.0, lambda step: 1.0)
named = [*model.named_parameters(), *objective.named_parameters()]
step = TrainStep(
    model, objective, SGD(0.1).build(named, scheduler, None), scheduler, cache=chunk < rows
)
def batches(rows, chunk):
    whole = {
        "image": rng.standard_normal((rows, 3, 32, 32), np.float32), "text": rng.integers(1, 1000, (rows, 32)),
        "text_mask": np.ones((rows, 32), bool), "has_image": np.ones(rows, bool), "has_text": np.ones(rows, bool),
    }
    return [
        {name: paddle.to_tensor(array[start : start + chunk]) for name, array in whole.items()}
        for start in range(0, rows, chunk)
    ]
step(batches(2, 2), 0)
given = batches(rows, chunk)
before, seconds, loss = peak(), [], 0.0
for number in range(steps):
    began = time.perf_counter()
    loss = step(given, number)["loss"]
    seconds.append(time.perf_counter() - began)
step.gradients(given, 0)
norm = float(sum((each.grad ** 2).sum() for each in step.parameters() if each.grad is not None)) ** 0.5
"""
PAIRS = """
from ppmm.objectives.siglip import SigLIP
objective = SigLIP(["image", "text"], chunk=chunk if chunk < rows else None)
def once(rows):
    embeds = {f"{field}_embed": paddle.to_tensor(rng.standard_normal((rows, 64), np.float32), stop_gradient=False)
              for field in ("image", "text")}
    has = {f"has_{field}": paddle.ones([rows], "bool") for field in ("image", "text")}
    loss = objective(embeds, has)["loss"]
    loss.backward()
    return float(loss), float(sum((each.grad ** 2).sum() for each in embeds.values())) ** 0.5
once(2)
before, seconds = peak(), []
for number in range(steps):
    began = time.perf_counter()
    loss, norm = once(rows)
    seconds.append(time.perf_counter() - began)
"""
END = """
print(json.dumps({"peak_mb": peak() - before, "baseline_mb": before, "seconds": min(seconds),
                  "loss": float(loss), "gradient_norm": norm}))
"""


def bench_memory(
    rows: int = 256, chunk: int = 32, pairs: int = 8192, block: int = 512, steps: int = 2
) -> dict[str, Any]:
    """A step of a small image-text model, and SigLIP alone, each in a process of its own.

    Args:
        rows: of the batch of the model.
        chunk: rows of a chunk of the gradient cache.
        pairs: rows of the batch of SigLIP.
        block: rows of its matrix that stand in memory.
        steps: of which the fastest counts.

    Returns: ``whole``, ``cached`` and ``small`` (a batch of ``chunk`` rows alone) of the model, ``matrix`` and
    ``blocks`` of SigLIP, each with peak_mb (above baseline_mb), seconds, loss and gradient_norm; the sizes; and
    ``memory_ratio``, ``time_ratio`` of cached to whole and ``pairs_memory_ratio``, ``pairs_time_ratio``.
    """
    found: dict[str, Any] = {
        "rows": rows, "chunk": chunk, "pairs": pairs, "block": block,
        "whole": _measure(STEP, rows, rows, steps),
        "cached": _measure(STEP, rows, chunk, steps),
        "small": _measure(STEP, chunk, chunk, steps),
        "matrix": _measure(PAIRS, pairs, pairs, steps),
        "blocks": _measure(PAIRS, pairs, block, steps),
    }  # fmt: skip
    for prefix, one, other in (("", "cached", "whole"), ("pairs_", "blocks", "matrix")):
        found[f"{prefix}memory_ratio"] = found[one]["peak_mb"] / max(found[other]["peak_mb"], 1e-9)
        found[f"{prefix}time_ratio"] = found[one]["seconds"] / found[other]["seconds"]
    return found


def _measure(what: str, *arguments: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + what + END, *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def print_memory(rows: int, chunk: int, out: Path | None = None) -> None:
    """`bench_memory` as a few lines; with ``out``, also as JSON."""
    found = bench_memory(rows, chunk)
    names = {
        "whole": f"batch of {rows}", "cached": f"the same, gradient cache, chunks of {chunk}",
        "small": f"batch of {chunk}", "matrix": f"SigLIP of {found['pairs']} rows, one matrix",
        "blocks": f"the same in blocks of {found['block']}",
    }  # fmt: skip
    for key, name in names.items():
        each = found[key]
        print(
            f"{name:44} {each['peak_mb']:7.0f} MB {each['seconds']:7.2f} s  loss {each['loss']:.6f}  "
            f"gradient {each['gradient_norm']:.6f}"
        )
    print(
        f"gradient cache: {found['memory_ratio']:.2f} of the memory, {found['time_ratio']:.2f} of the time; "
        f"blocks: {found['pairs_memory_ratio']:.2f} and {found['pairs_time_ratio']:.2f}"
    )
    if out is not None:
        write_document(out, found)
