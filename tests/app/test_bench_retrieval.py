"""The benchmark of retrieval meets the sizes that it states; time and memory are for tools/bench.py to judge."""

from __future__ import annotations

from ppmm.app.bench_retrieval import bench_retrieval


def test_sizes_and_figures() -> None:
    found = bench_retrieval(images=200, captions=1000, dim=32)
    assert found["details"]["image_to_text"]["candidates"] == found["details"]["text_to_image"]["queries"] == 1000
    assert found["details"]["image_to_text"]["queries"] == found["details"]["text_to_image"]["candidates"] == 200
    assert 0.02 < found["figures"]["text_to_image_r1"] < found["figures"]["text_to_image_r10"] < 1
    assert found["peak_mb"] > 0 and found["within"]
