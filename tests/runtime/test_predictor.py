"""Predictors: devices, back ends and precisions that are not there, clones, pools, warm-up, what is remembered."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppmm.errors import ExportError
from ppmm.runtime import Predictor, PredictorPool, machine
from ppmm.runtime import predictor as predictor_module

ROOT = Path(__file__).parents[2]


def test_import_is_light() -> None:
    code = (
        "import sys, ppmm.runtime; heavy = {'paddle', 'onnxruntime', 'ppmm.models', 'ppmm.engine', 'ppmm.app', "
        "'ppmm.data', 'ppmm.objectives', 'paddlenlp', 'paddleslim', 'matplotlib', 'sklearn'}; "
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_answering_imports_no_training_code(bundle: Path) -> None:
    code = (
        "import sys; from ppmm.runtime import Predictor; p = Predictor(sys.argv[1]); "
        "p.predict([{'text': 'which digit do you see?'}]); "
        "found = {m for m in sys.modules if m.split('.')[:2] in [['ppmm', x] for x in ('models', 'engine', 'app', "
        "'data', 'objectives', 'optim', 'compress', 'export')]}; sys.exit(str(sorted(found)) if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "gpu:0"}, "gpu:0 is not there: this Paddle is built for CPUs only"),
        ({"device": "cuda"}, "no device 'cuda'; there is cpu, gpu"),
        ({"device": "cpu:1"}, "no device 'cpu:1'"),
        ({"backend": "onedn"}, "no back end named 'onedn'; did you mean 'onednn'"),
        ({"backend": "cuda"}, "it needs the device gpu"),
        ({"backend": "onednn", "device": "gpu:0"}, "it needs the device cpu"),
        ({"backend": "tensorrt", "device": "gpu:0"}, "not laid out for TensorRT; export it with --tensorrt"),
        ({"precision": "int8"}, "exported and tested in fp32, not in int8; make one with .* --precision int8"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_what_is_not_there_is_said(bundle: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        Predictor(bundle, **options)


def test_onnx_needs_its_graph(trained: Any, tmp_path: Path) -> None:
    from ppmm.app.export import export_checkpoint

    export_checkpoint(str(trained.best), str(tmp_path / "b"), samples=4)
    with pytest.raises(ExportError, match="this bundle has no ONNX graph; export it with --onnx"):
        Predictor(tmp_path / "b", backend="onnx")


@pytest.mark.parametrize("backend", ["onednn", "plain", "onnx"])
def test_clones_answer_at_the_same_time(bundle: Path, samples: list[dict[str, Any]], backend: Any) -> None:
    first = Predictor(bundle, backend=backend)
    expected = [first.outputs([sample])["logits"] for sample in samples]
    pool = PredictorPool(first, 3)
    barrier = threading.Barrier(3)

    def answer(start: int) -> list[np.ndarray]:
        with pool.take() as predictor:
            barrier.wait(30)  # all three are out of the pool at once
            return [predictor.outputs([sample])["logits"] for sample in samples[start::3] * 5]

    with ThreadPoolExecutor(3) as executor:
        found = list(executor.map(answer, range(3)))
    for start, rows in enumerate(found):
        for row, want in zip(rows, expected[start::3] * 5, strict=True):
            np.testing.assert_array_equal(row, want)
    with pytest.raises(ExportError, match="at least 1 predictor, got 0"):
        PredictorPool(first, 0)


def test_auto_measures_once_and_remembers(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def measured(graphs: Any) -> dict[str, float]:
        calls.append(sorted(graphs))
        for graph in graphs.values():
            graph()
        return {"plain": 1.0, "onnx": 2.0, "onednn": 3.0}

    monkeypatch.setattr(predictor_module, "fastest", measured)
    assert Predictor(bundle, backend="auto").backend == "plain"
    assert Predictor(bundle, backend="auto").backend == "plain"
    assert calls == [["onednn", "onnx", "plain"]]
    Predictor(bundle, backend="auto", threads=2)
    assert len(calls) == 2  # another question


def test_auto_leaves_out_a_back_end_that_answers_wrongly(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check = predictor_module.check_golden

    def refuse(golden: Any, answer: Any, who: str, *more: Any) -> Any:
        if who.startswith("onnx"):
            raise ExportError("wrong")
        return check(golden, answer, who, *more)

    seen: list[set[str]] = []
    monkeypatch.setattr(predictor_module, "check_golden", refuse)
    monkeypatch.setattr(predictor_module, "fastest", lambda graphs: seen.append(set(graphs)) or {"onednn": 1.0})
    assert Predictor(bundle, backend="auto").backend == "onednn"
    assert seen == [{"onednn", "plain"}]


def test_a_cache_that_cannot_be_written_costs_time_only(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Predictor(bundle).self_test()["cases"] == 8
    assert machine.recall({"what": "anything"}) is None


def test_warm_up_answers_golden_samples(bundle: Path) -> None:
    predictor = Predictor(bundle)
    sizes = []
    graph = predictor.graph
    predictor.graphs["main"] = lambda batch: sizes.append(len(batch["has_image"])) or graph(batch)  # type: ignore
    predictor.warm_up(6)
    assert sizes == [1, 6]
