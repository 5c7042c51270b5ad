"""INT8 by calibration: what it refuses, and one export from checkpoint to answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.experiment import build_rows
from ppmm.app.export import export_checkpoint
from ppmm.compress.post_training import PostTraining, quantise_graph
from ppmm.errors import CompressError, ExportError
from ppmm.runtime import Predictor
from ppmm.runtime.backends import backends_of

FIELDS = ("image", "audio", "text")


def test_an_unknown_algorithm_and_a_negative_number_are_errors() -> None:
    with pytest.raises(CompressError, match="no calibration named 'kl'; there is abs_max, avg, hist, KL, mse"):
        PostTraining(algorithm="kl")  # type: ignore[arg-type]
    with pytest.raises(CompressError, match="at least 0, got -1"):
        PostTraining(keep_worst=-1)


def test_an_empty_calibration_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CompressError, match="calibration set is empty"):
        quantise_graph([tmp_path / "x.pdmodel", tmp_path / "x.pdiparams"], [], tmp_path / "y", PostTraining(), {})


def test_each_precision_has_its_back_ends() -> None:
    assert backends_of({"precision": "fp32"}) == ("onednn", "plain")
    assert backends_of({"precision": "bf16"}) == backends_of({"precision": "int8"}) == ("onednn",)
    assert backends_of({"precision": "int8", "onnx": "main.onnx"}) == ("onednn", "onnx")
    with pytest.raises(ExportError, match="not in 'int4'"):
        backends_of({"precision": "int4"})


def test_calibration_rows_of_one_class_are_refused(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(CompressError, match="all 1 calibration rows of 'val' are of one class of 'answer'"):
        export_checkpoint(str(trained.best), str(tmp_path / "b"), precision="int8", calibrate=1)
    with pytest.raises(CompressError, match="--calibrate must be at least 1 row, got 0"):
        export_checkpoint(str(trained.best), str(tmp_path / "b"), precision="int8", calibrate=0)
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_int8_bundle_from_checkpoint_to_answers(trained: Any, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    report = export_checkpoint(str(trained.best), str(out), precision="int8", calibrate=32, keep_worst=1, samples=8)
    quantisation = report["quantisation"]["main"]
    layers = quantisation["layers"]
    kept = [layer for layer in layers if layer["precision"] == "fp32"]
    assert [layer["name"] for layer in kept] == [max(layers, key=lambda layer: layer["error"])["name"]]
    assert any(layer["name"].startswith("encoders.image.") for layer in layers)
    assert quantisation["rows"] == 32
    assert quantisation["fp32_operators"]["rnn"] == 2  # the LSTM and the GRU
    assert json.loads((out / "parity.json").read_text())["min_cosine"] == report["min_cosine"] > 0.95
    entry = Predictor(out).bundle.graph("main")
    assert (entry["precision"], entry["ir"]) == ("int8", "old")
    loaded = load_checkpoint(trained.best)
    rows = build_rows(loaded.config, "test")
    samples = [{field: rows[index][field] for field in FIELDS} for index in range(4)]
    assert np.isfinite(Predictor(out).outputs(samples)["logits"]).all()
    with pytest.raises(ExportError, match="a graph of precision int8 needs onednn"):
        Predictor(out, backend="plain")
