"""tools/bench.py dedup: how long it takes to compare the hashes of many images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ppmm.app.document import write_document

__all__ = ["bench_dedup", "print_dedup"]


def bench_dedup(images: int = 100_000, planted: int = 2_000, bits: int = 10, seed: int = 0) -> dict[str, Any]:
    """Compare ``images`` hashes of 64 bits by the index of `ppmm.data.curate.hash_index`.

    Hashes are made as natural as is cheap: signs of 64 smooth random numbers with a fixed covariance, so that bits
    depend on each other and buckets fill unevenly; ``planted`` of them are copies with up to ``bits`` flipped.

    Args:
        images: hashes.
        planted: near copies among them.
        bits: largest distance.
        seed: of the hashes.

    Returns:
        images, bits, seconds, pairs, planted, found (planted pairs among them), goal_seconds.
    """
    import numpy as np

    from ppmm.data.curate.hash_index import near_pairs

    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(64, 64)) / 8 + np.eye(64)
    signs = rng.normal(size=(images - planted, 64)) @ mixing > 0
    copies = signs[:planted].copy()
    for row in copies:
        row[rng.choice(64, int(rng.integers(1, bits + 1)), replace=False)] ^= True
    packed = np.packbits(np.concatenate([signs, copies]), axis=1)
    hashes = np.ascontiguousarray(packed).view(np.uint64).reshape(-1)
    distinct, first = np.unique(hashes, return_index=True)
    begun = time.perf_counter()
    pairs = near_pairs(distinct, bits)
    seconds = time.perf_counter() - begun
    known = {(int(one), int(two)) for one, two in np.sort(first[pairs], axis=1)}
    wanted = {(i, images - planted + i) for i in range(planted) if hashes[i] != hashes[images - planted + i]}
    return {
        "images": images, "bits": bits, "seconds": round(seconds, 2), "pairs": len(pairs), "planted": len(wanted),
        "found": len(wanted & known), "goal_seconds": 60.0,
    }  # fmt: skip


def print_dedup(images: int = 100_000, out: Path | None = None) -> None:
    """`bench_dedup` as one line; with ``out``, also as JSON."""
    figures = bench_dedup(images, planted=min(2_000, images // 4))
    print(
        f"{figures['images']:,} hashes compared in {figures['seconds']} s (goal: below {figures['goal_seconds']:.0f}), "
        f"{figures['found']:,} of {figures['planted']:,} planted near copies found"
    )
    write_document(out, figures)
