"""deploy/benchmark.py: figures of every back end, a table, a picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppmm.runtime.benchmark import STAGES, benchmark
from ppmm.runtime.benchmark_table import table

ROOT = Path(__file__).parents[2]


def test_every_back_end_batch_and_thread_count(bundle: Path) -> None:
    report = benchmark(str(bundle), [], [1, 3], [1], rounds=1)
    assert [(row["backend"], row["batch"]) for row in report["rows"]] == [
        (name, batch) for batch in (1, 3) for name in ("onednn", "plain", "onnx")
    ]
    for row in report["rows"]:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] and set(row["stages_ms"]) == set(STAGES)
        assert row["samples_per_second"] == pytest.approx(1e3 * row["batch"] / row["p50_ms"], rel=1e-2)
    assert set(report["start"]) == {"onednn", "plain", "onnx"}
    assert all(each["seconds"] > 0 and each["memory_mb"] > 50 for each in report["start"].values())


def test_the_table() -> None:
    def row(name: str, model: float) -> dict[str, Any]:
        stages = {"preprocess": 1.0, "collate": 0.1, "model": model, "postprocess": 0.2}
        ends = {"p50_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "samples_per_second": 500.0}
        return {"backend": name, "threads": 1, "batch": 1, **ends, "stages_ms": stages}

    start = {"slow": {"seconds": 2.0, "memory_mb": 300.0}}
    text = table({"bundle": "b", "samples": 4, "rows": [row("slow", 3.0), row("fast", 1.5)], "start": start})
    assert "2.00x" in text.splitlines()[2] and "1.00x" in text.splitlines()[3]
    assert text.splitlines()[-1] == "start slow: 2.0 s to the first answer, 300 MB"


def test_the_tool_writes_figures_and_a_picture(bundle: Path, tmp_path: Path) -> None:
    command = ["deploy/benchmark.py", str(bundle), "--backends", "plain", "--batches", "1", "--rounds", "1"]
    command += ["--json", str(tmp_path / "f.json"), "--plot", str(tmp_path / "f.png")]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "f.json").read_text())[0]["rows"][0]["backend"] == "plain"
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
