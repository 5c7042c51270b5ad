"""The self-test: passes where a machine answers as at export, and names the case where it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ppmm.errors import ExportError
from ppmm.hashing import file_sha256, seal
from ppmm.runtime import Predictor
from ppmm.runtime import predictor as predictor_module
from ppmm.runtime.golden import Golden
from ppmm.runtime.self_test import check_golden


def golden(agreement: dict[str, float]) -> Golden:
    samples = [{"x": 1}, {"x": 2}]
    cases = [("batch", samples), ("single", samples[:1])]
    expected = [{"y": np.array([1.0, 2.0], np.float32)}, {"y": np.array([1.0], np.float32)}]
    return Golden(samples, cases, expected, {}, agreement)


def test_within_the_tolerance() -> None:
    def answer(samples: Any) -> dict[str, np.ndarray]:
        return {"y": np.array([sample["x"] + 0.05 for sample in samples], np.float32)}

    report = check_golden(golden({"tolerance": 0.1}), answer, "plain", "fp32")
    assert report["largest_difference"] == pytest.approx(0.05, abs=1e-6) and report["cases"] == 2
    with pytest.raises(ExportError, match=r"under plain .* case 'batch', largest difference 0\.05, tolerance 0\.01"):
        check_golden(golden({"tolerance": 0.01}), answer, "plain", "fp32")
    # half precision of a float32 bundle is compared by direction: [1.05, 2.05] is nearly that of [1, 2]
    assert check_golden(golden({"tolerance": 0.01}), answer, "cuda", "fp16")["least_cosine"] > 0.999


def test_the_direction_of_rounded_answers() -> None:
    turned = {"y": np.array([2.0, 1.0], np.float32)}
    alone = {"y": np.array([1.0], np.float32)}

    def answer(samples: Any) -> dict[str, np.ndarray]:
        return turned if len(samples) == 2 else alone

    with pytest.raises(ExportError, match=r"case 'batch', output 'y', cosine 0\.8000, at least 0\.95"):
        check_golden(golden({"cosine": 0.95}), answer, "onednn", "int8")
    turned["y"] = np.array([np.nan, 1.0], np.float32)
    with pytest.raises(ExportError, match="largest difference inf"):
        check_golden(golden({"cosine": 0.95}), answer, "onednn", "int8")


def test_it_runs_at_first_load_and_is_remembered(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls: list[str] = []
    check = predictor_module.check_golden

    def counted(golden: Any, answer: Any, who: str, *more: Any) -> Any:
        calls.append(who)
        return check(golden, answer, who, *more)

    monkeypatch.setattr(predictor_module, "check_golden", counted)
    Predictor(bundle)
    Predictor(bundle)
    Predictor(bundle, backend="onnx")
    assert calls == ["onednn fp32 on cpu", "onnx fp32 on cpu"]
    Predictor(bundle).self_test(anew=True)
    Predictor(bundle, backend="plain", self_test=False)
    assert len(calls) == 3


def test_a_bundle_with_other_weights_fails(bundle: Path, tmp_path: Path) -> None:
    """The graph of another model under the right hashes: only the answers can tell."""
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    model = onnx.load(str(copy / "main.onnx"))
    constants = [node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"]
    weights = max(constants, key=lambda each: len(each.raw_data))
    weights.raw_data = (np.frombuffer(weights.raw_data, np.float32) * np.float32(1.1)).tobytes()
    onnx.save(model, str(copy / "main.onnx"))
    text = (copy / "bundle.yaml").read_text().rpartition("sha256: ")[0]
    text = text.replace(file_sha256(bundle / "main.onnx"), file_sha256(copy / "main.onnx"))
    (copy / "bundle.yaml").write_text(seal(text))
    with pytest.raises(ExportError, match=r"self-test failed: under onnx fp32 on cpu .* case 'batch'"):
        Predictor(copy, backend="onnx")
    Predictor(copy, backend="onnx", self_test=False)
    Predictor(copy)


def test_golden_samples_can_be_left_out(trained: Any, tmp_path: Path) -> None:
    from ppmm.app.export import export_checkpoint

    out = tmp_path / "bundle"
    export_checkpoint(str(trained.best), str(out), str(trained.config), ["export={golden: 0}"], samples=4)
    assert not list(out.glob("golden*"))
    predictor = Predictor(out)
    predictor.warm_up()
    with pytest.raises(ExportError, match=r"no golden samples \(export\.golden: 0\)"):
        predictor.self_test()
    with pytest.raises(ExportError, match="no golden samples to measure on"):
        Predictor(out, backend="auto")


def test_golden_files_are_what_the_model_was_given(bundle: Path) -> None:
    predictor = Predictor(bundle)
    golden = predictor.bundle.golden
    assert golden is not None
    document = json.loads((bundle / "golden.json").read_text())
    assert [case["name"] for case in document["cases"]] == [
        "batch", *["single"] * 4, "without image", "without audio", "without text",
    ]  # fmt: skip
    batch = predictor.collate([predictor.convert(sample) for sample in golden.samples])
    assert set(batch) == set(golden.inputs)
    for name, array in batch.items():
        np.testing.assert_array_equal(array, golden.inputs[name])
