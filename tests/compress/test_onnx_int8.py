"""INT8 ONNX graphs against the float32 model they come from."""

import numpy as np
import onnx
import paddle
import pytest
from paddle import nn

from ppmm.compress.onnx_int8 import _alike, quantise_onnx
from ppmm.errors import CompressError
from ppmm.export.onnx_graph import write_onnx
from ppmm.models.layers.recurrent import Bidirectional
from ppmm.runtime.onnx_graph import OnnxGraph
from ppmm.types import FieldSpec

SPECS = {"x": FieldSpec((None, None, 6), "float32"), "mask": FieldSpec((None, None), "bool")}


class Small(nn.Layer):
    """A projection, a recurrent layer and an answer per row."""

    outputs = ("logits",)

    def __init__(self, cell):
        super().__init__()
        self.project = nn.Linear(6, 16)
        self.recurrent = Bidirectional(cell, 16, 16)
        self.answer = nn.Linear(16, 3)

    def forward(self, batch):
        steps = self.recurrent(self.project(batch["x"]), batch["mask"])
        return {"logits": self.answer(steps.sum(axis=1))}


def model_with(cell):
    paddle.seed(2)
    model = Small(cell)
    model.eval()
    return model


def batch_of(lengths, seed):
    rng = np.random.default_rng(seed)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return {"x": rng.normal(size=(*mask.shape, 6)).astype("float32") * mask[..., None], "mask": mask}


BATCHES = [batch_of([5, 2, 3], 0), batch_of([1, 7, 4], 1), batch_of([2], 2)]


@pytest.mark.parametrize(("algorithm", "share"), [("abs_max", 0.1), ("avg", 0.5), ("hist", 0.1), ("KL", 0.1)])
def test_answers_are_those_of_float32_to_a_quantisation_error(algorithm, share, tmp_path):
    """The mean of the batches' ranges cuts what is above it: the third batch has a single short row."""
    model = model_with(nn.LSTM)
    write_onnx(model, SPECS, tmp_path / "a.onnx")
    done = quantise_onnx(tmp_path / "a.onnx", tmp_path / "b.onnx", BATCHES, algorithm)
    assert done == {"layers": {"MatMul": 2, "LSTM": 1}, "fp32": {}}
    wanted = OnnxGraph(tmp_path / "a.onnx", ["logits"], 1)
    found = OnnxGraph(tmp_path / "b.onnx", ["logits"], 1)
    batch = batch_of([6, 1, 3], 4)
    exact, rounded = wanted(batch)["logits"], found(batch)["logits"]
    assert 0 < np.abs(exact - rounded).max() < share * np.abs(exact).max()


def test_weights_are_bytes_and_a_gru_is_left_and_said_so(tmp_path):
    write_onnx(model_with(nn.GRU), SPECS, tmp_path / "a.onnx")
    done = quantise_onnx(tmp_path / "a.onnx", tmp_path / "b.onnx", BATCHES)
    assert done == {"layers": {"MatMul": 2}, "fp32": {"GRU": 1}}
    kinds = {tuple(t.dims): t.data_type for t in onnx.load(str(tmp_path / "b.onnx")).graph.initializer}
    assert kinds[(6, 16)] == kinds[(16, 3)] == onnx.TensorProto.INT8
    assert kinds[(2, 24, 16)] == onnx.TensorProto.FLOAT


def test_batches_are_made_alike_by_padding_and_repeated_rows():
    first, second, third = _alike(BATCHES)
    assert first["x"].shape == second["x"].shape == third["x"].shape == (3, 7, 6)
    assert np.array_equal(first["x"][:, :5], BATCHES[0]["x"]) and not first["x"][:, 5:].any()
    assert not first["mask"][:, 5:].any() and np.array_equal(second["mask"], BATCHES[1]["mask"])
    assert all(np.array_equal(third["x"][row, :2], BATCHES[2]["x"][0]) for row in range(3))


class Plain(nn.Layer):
    outputs = ("logits",)

    def __init__(self):
        super().__init__()
        self.scale = self.create_parameter([6])

    def forward(self, batch):
        return {"logits": batch["x"].sum(axis=1) * self.scale}


@pytest.mark.parametrize(
    ("batches", "algorithm", "words"),
    [(BATCHES, "mse", "no calibration 'mse'"), ([], "hist", "calibration set is empty"), (BATCHES, "hist", "has no ")],
)
def test_what_cannot_be_quantised_is_refused(batches, algorithm, words, tmp_path):
    write_onnx(Plain(), {"x": SPECS["x"]}, tmp_path / "a.onnx")
    batches = [{"x": batch["x"]} for batch in batches]
    with pytest.raises(CompressError, match=words):
        quantise_onnx(tmp_path / "a.onnx", tmp_path / "b.onnx", batches, algorithm)
    assert not (tmp_path / "b.onnx").exists()
