"""The benchmark of the hash index finds every planted pair; its time is for tools/bench.py to judge."""

from __future__ import annotations

from ppmm.app.bench_dedup import bench_dedup


def test_every_planted_pair_is_found() -> None:
    figures = bench_dedup(images=3_000, planted=100)
    assert figures["found"] == figures["planted"] > 90
