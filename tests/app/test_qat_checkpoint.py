"""A checkpoint of the step qat: read back bit for bit, trained on, refused a second time, exported as INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.compress import compress
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import CompressError, ExportError
from ppmm.models.layers.fake_quantised import fake_quantised_layers
from tests.conftest import Run

QAT = "compress=[{name: qat, activation: %s, epochs: 1, max_steps: 3, learning_rate: 0.0005, calibrate: 32}]"
TUNE = "compress=[{name: finetune, epochs: 1, max_steps: 2, learning_rate: 0.0005}]"


@pytest.mark.parametrize("activation", ["moving_average", "lsq", "pact"])
def test_ranges_travel_in_the_checkpoint_and_into_the_graph(activation: str, trained: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = compress(str(trained.config), str(trained.best), [QAT % activation], out=str(out))
    checkpoint = out / "checkpoint"
    loaded = load_checkpoint(checkpoint)
    assert [record["name"] for record in loaded.checkpoint.manifest["transforms"]] == ["qat"]
    arrays = read_checkpoint(checkpoint).arrays("model.safetensors")
    state = {name: value.numpy() for name, value in loaded.model.state_dict().items()}
    assert set(arrays) == set(state) and all(np.array_equal(arrays[name], state[name]) for name in state)
    ranges = {name: layer.quantiser.range() for name, layer in fake_quantised_layers(loaded.model).items()}
    assert ranges == report["steps"][0]["report"]["int8"], "to the last bit"
    found = evaluate_checkpoint(str(checkpoint), split="val")["metrics"]
    assert found == pytest.approx(report["steps"][0]["metrics"])

    gate = export_checkpoint(str(checkpoint), str(tmp_path / "bundle"))
    assert gate["precision"] == "int8" and gate["quantisation"]["algorithm"] == "trained"
    assert gate["min_cosine"] >= gate["least_cosine"] and gate["quantisation"]["rows"] == 0
    # layers that read one tensor share its largest range in the graph; what each had in training is reported beside it
    used = {x["name"]: x.get("trained", x["range"]) for x in gate["quantisation"]["layers"] if x["precision"] == "int8"}
    assert used and all(ranges[name.removesuffix(".weight")] == value for name, value in used.items())

    if activation == "moving_average":
        with pytest.raises(ExportError, match="--calibrate is for calibration; the ranges of this checkpoint"):
            export_checkpoint(str(checkpoint), str(tmp_path / "other"), calibrate=8)
        with pytest.raises(CompressError, match="trained in 8 bits already"):
            compress(str(trained.config), str(checkpoint), [QAT % activation], out=str(tmp_path / "twice"))
        compress(str(trained.config), str(checkpoint), [TUNE], out=str(tmp_path / "tuned"))
        tuned = load_checkpoint(tmp_path / "tuned" / "checkpoint")
        assert [record["name"] for record in tuned.checkpoint.manifest["transforms"]] == ["qat"]
        assert set(fake_quantised_layers(tuned.model)) == set(ranges)
