"""The benchmark of memory compares equal things; how much is for tools/bench.py to tell."""

from __future__ import annotations

import pytest

from ppmm.app.bench_memory import bench_memory


@pytest.mark.slow
def test_equal_losses_and_gradients() -> None:
    found = bench_memory(rows=16, chunk=4, pairs=256, block=32, steps=1)
    for one, other in (("cached", "whole"), ("blocks", "matrix")):
        for figure in ("loss", "gradient_norm"):
            assert found[one][figure] == pytest.approx(found[other][figure], rel=1e-4)
