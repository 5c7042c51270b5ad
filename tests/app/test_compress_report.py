"""What a compression has won: measured, told in words, and kept in docs/results.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ppmm.app import compress_measure
from ppmm.app.compress import compress
from ppmm.app.compress_report import results_row, statements
from ppmm.app.results import known_results, record_compression
from ppmm.errors import DataError
from tests.conftest import Run


def model(name: str, plain: float, onnx: float, size: int, accuracy: float, **more: Any) -> dict[str, Any]:
    def graph(precision: str, backend: str, p50: float) -> dict[str, Any]:
        return {"precision": precision, "backend": backend, "latency": {"1": {"p50": p50}}, "bytes": size}

    graphs = [graph("fp32", "plain", plain), graph("fp32", "onnx", onnx)]
    graphs += [graph(key, *value) for key, value in more.items()]
    return {
        "name": name, "parameters": size, "flops": size, "metrics": {"image": {"accuracy": accuracy}}, "graphs": graphs,
        "prepare_ms": 1.0, "operators": {"LSTM": 0.4, "Conv": 0.25, "Mul": 0.1},
    }  # fmt: skip


def test_words_say_what_was_won_and_why_a_step_does_not_pay() -> None:
    dense = model("dense", 4.0, 2.0, 800, 0.95, bf16=("onednn", 6.0))
    pruned = model("1 prune", 3.0, 1.0, 200, 0.90)
    tuned = model("2 finetune", 3.1, 1.05, 200, 0.96)
    factored = model("3 low_rank", 3.1, 1.05, 190, 0.96, int8=("onnx", 0.5))
    told = statements([dense, pruned, tuned, factored], "accuracy", True)
    assert told == [
        "1 prune: 2.00x faster at batch 1 (2.000 to 1.000 ms on onnx), 4.00x smaller, accuracy 0.9500 to 0.9000 "
        "(5.00 points lost).",
        "2 finetune: the same graph, accuracy 0.9000 to 0.9600 (6.00 points won).",
        "3 low_rank: does not pay in time here, as fast as before (1.050 to 1.050 ms on onnx): LSTM takes 40 % and "
        "Conv takes 25 %, 1.05x smaller, accuracy 0.9600 to 0.9600 (0.00 points lost).",
        "bf16 of dense: does not pay in time here, 200 % slower (2.000 to 6.000 ms on onnx and onednn): LSTM takes "
        "40 % and Conv takes 25 %, no smaller.",
        "int8 of 3 low_rank: 2.10x faster at batch 1 (1.050 to 0.500 ms on onnx), no smaller.",
    ]
    assert statements([dense], "accuracy", True, "no VNNI")[-1] == "int8 was not measured: no VNNI."


def test_the_row_of_the_results_has_both_baselines(tmp_path: Path) -> None:
    models = [model("dense", 4.0, 2.0, 800, 0.95), model("1 prune", 3.0, 1.0, 200, 0.94, int8=("onnx", 0.5))]
    document = {"metric": "accuracy", "higher": True, "measured": {"models": models, "threads": 2, "cpu": "a"}}
    row = results_row(document, "small", "python x")
    assert row["speedup_p50"] == 4.0 and row["speedup_p50_paddle"] == 8.0 and row["size_ratio"] == 4.0
    assert row["speedup_end_to_end"] == 2.0  # 1 + 2 ms, now 1 + 0.5
    assert row["metric_drop"] == pytest.approx(0.01) and row["threads"] == 2 and row["command"] == "python x"
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"grid": {"rows": []}}), encoding="utf-8")
    for name in ("small", "other", "small"):
        record_compression({**row, "name": name}, path)
    found = known_results(path)
    assert [one["name"] for one in found["compression"]] == ["other", "small"] and found["grid"] == {"rows": []}
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="holds no results"):
        known_results(path)


@pytest.mark.slow
def test_a_compression_is_measured_from_end_to_end(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress_measure, "ROUNDS", 2)
    out = tmp_path / "out"
    overrides = ["compress=[{name: prune, ratio: 0.5}]"]
    report = compress(str(trained.config), str(trained.best), overrides, out=str(out), measured=True)
    dense, pruned = report["measured"]["models"]
    assert dense["name"] == "dense" and pruned["name"] == "1 prune"
    assert pruned["parameters"] < dense["parameters"] and pruned["flops"] < dense["flops"]
    fields = {"image+audio+text", "audio+text", "image+text", "image+audio", "text", "audio", "image"}
    assert set(dense["metrics"]) == fields and "loss" in dense["metrics"]["image"]
    for one in (dense, pruned):
        backends = {(graph["precision"], graph["backend"]) for graph in one["graphs"]}
        assert {("fp32", "plain"), ("fp32", "onednn"), ("fp32", "onnx")} <= backends
        for graph in one["graphs"]:
            for batch in ("1", "8"):
                figures = graph["latency"][batch]
                assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"]
                assert graph["throughput"][batch] == pytest.approx(1e3 * int(batch) / figures["p50"])
            assert graph["bytes"] > 1000 and graph["memory_mb"] > 0
        assert one["prepare_ms"] > 0
        assert sum(one["operators"].values()) == pytest.approx(1.0)
    page = (out / "compress_report.html").read_text(encoding="utf-8")
    assert report["measured"]["statements"][0].startswith("1 prune: ") and "https://" not in page
    assert all(word in page for word in ("In words", "1 prune", "image+audio", "<svg"))
    assert json.loads((out / "compress_report.json").read_text(encoding="utf-8"))["measured"]["threads"] == 1
