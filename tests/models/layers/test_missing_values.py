"""Missing numbers: filled, flagged, the same in the exported graph."""

import numpy as np
import paddle

from ppmm.export.graph import save_graph
from ppmm.models.encoders.mlp import MLPEncoder
from ppmm.models.layers.missing_values import MissingValues
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import FieldSpec

NAN = float("nan")


def test_by_hand():
    layer = MissingValues(3)
    layer.fill.set_value(np.array([7, 8, 9], "float32"))
    found = layer(paddle.to_tensor([[1, NAN, 3], [NAN, NAN, NAN], [0, 0, 0]]))
    assert found.tolist() == [[1, 8, 3, 0, 1, 0], [7, 8, 9, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
    assert layer.out_dim == 6


def test_the_learned_value_gets_the_gradient_of_the_missing_ones_only():
    layer = MissingValues(2)
    x = paddle.to_tensor([[1.0, NAN], [NAN, NAN]], stop_gradient=False)
    (layer(x) * paddle.to_tensor([[1.0, 2.0, 0.0, 0.0], [4.0, 8.0, 0.0, 0.0]])).sum().backward()
    assert layer.fill.grad.tolist() == [4, 10]
    assert x.grad.tolist() == [[1, 0], [0, 0]]


def test_zero_and_unknown_are_told_apart():
    paddle.seed(0)
    encoder = MLPEncoder(2, dim=5, missing=True)
    found = encoder(paddle.to_tensor([[0.0, 0.0], [0.0, NAN], [NAN, NAN]])).pooled.numpy()
    assert np.isfinite(found).all() and np.abs(found[0] - found[1]).max() > 1e-3 < np.abs(found[1] - found[2]).max()


class Answering(paddle.nn.Layer):
    outputs = ("logits",)

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, batch):
        return {"logits": self.encoder(batch["x"]).pooled}


def test_exported_graph_takes_missing_numbers(tmp_path):
    paddle.seed(0)
    model = Answering(MLPEncoder(4, dim=5, missing=True))
    model.encoder.missing.fill.set_value(np.array([1, -2, 3, 0.5], "float32"))
    names = save_graph(model, {"x": FieldSpec((None, 4), "float32")}, tmp_path / "main")
    rows = np.array([[1, NAN, 3, 4], [NAN] * 4, [0, 0, 0, 0]], "float32")
    wanted = model({"x": paddle.to_tensor(rows)})["logits"].numpy()
    assert np.isfinite(wanted).all()
    files = [tmp_path / "main.json", tmp_path / "main.pdiparams"]
    for backend in ("plain", "onednn"):
        np.testing.assert_allclose(PaddleGraph(files, names, backend, 1)({"x": rows})["logits"], wanted, atol=1e-5)
