"""A checkpoint of the step qat: read back bit for bit, trained on, refused a second time, exported as INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from ppmm.app.checkpoints import Loaded, load_checkpoint
from ppmm.app.compress import compress
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import build_rows
from ppmm.app.export import export_checkpoint
from ppmm.data.collate import Collate
from ppmm.data.prepared import Prepared
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import CompressError, ExportError
from ppmm.models.layers.fake_quantised import fake_quantised_layers, without_rounding
from ppmm.runtime.paddle_graph import PaddleGraph
from tests.conftest import Run

QAT = "compress=[{name: qat, activation: %s, epochs: 1, max_steps: 3, learning_rate: 0.0005, calibrate: 32}]"
TUNE = "compress=[{name: finetune, epochs: 1, max_steps: 2, learning_rate: 0.0005}]"


def assert_graph_rounds_as_the_model(loaded: Loaded, bundle: Path) -> None:
    """By Paddle's own kernels, which compute the graph as written; single numbers on a tie may round apart."""
    fields = loaded.parts.fields
    rows = Prepared(build_rows(loaded.config, "val"), fields, {})
    arrays = Collate(fields, {})([rows[0, index] for index in range(8)])
    loaded.model.eval()
    with paddle.no_grad():
        wanted = loaded.model({name: paddle.to_tensor(array) for name, array in arrays.items()})["logits"].numpy()
        with without_rounding(loaded.model):
            plain = loaded.model({name: paddle.to_tensor(array) for name, array in arrays.items()})["logits"].numpy()
    graph = PaddleGraph([bundle / f"main.{end}" for end in ("pdmodel", "pdiparams")], ["logits"], "plain", 1)
    error = np.abs(graph(arrays)["logits"] - wanted)
    rounding = np.abs(plain - wanted)
    assert np.median(error) < 1e-5 and error.max() < 0.5 * rounding.max()
    assert np.median(rounding) > 1e-4, "what is compared is rounded"


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
    assert gate["precision"] == "int8" and gate["quantisation"]["main"]["algorithm"] == "trained"
    assert gate["min_cosine"] >= gate["least_cosine"] and gate["quantisation"]["main"]["rows"] == 0
    # layers that read one tensor share its largest range in the graph; what each had in training is reported beside it
    used = {
        x["name"]: x.get("trained", x["range"])
        for x in gate["quantisation"]["main"]["layers"]
        if x["precision"] == "int8"
    }
    assert used and all(ranges[name.removesuffix(".weight")] == value for name, value in used.items())

    if activation == "moving_average":
        assert_graph_rounds_as_the_model(loaded, tmp_path / "bundle")
        with pytest.raises(ExportError, match="--calibrate is for calibration; the ranges of this checkpoint"):
            export_checkpoint(str(checkpoint), str(tmp_path / "other"), calibrate=8)
        with pytest.raises(CompressError, match="trained in 8 bits already"):
            compress(str(trained.config), str(checkpoint), [QAT % activation], out=str(tmp_path / "twice"))
        compress(str(trained.config), str(checkpoint), [TUNE], out=str(tmp_path / "tuned"))
        tuned = load_checkpoint(tmp_path / "tuned" / "checkpoint")
        assert [record["name"] for record in tuned.checkpoint.manifest["transforms"]] == ["qat"]
        assert set(fake_quantised_layers(tuned.model)) == set(ranges)
