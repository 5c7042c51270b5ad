"""Sinusoidal positions in exported graphs, also where the number of tokens is fixed (as that of a picture is)."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.export.graph import save_graph
from ppmm.models.layers.sinusoidal_positions import SinusoidalPositions
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import FieldSpec


class Positions(nn.Layer):
    outputs = ("logits",)

    def __init__(self):
        super().__init__()
        self.linear, self.positions = nn.Linear(6, 6), SinusoidalPositions(6)

    def forward(self, batch):
        return {"logits": self.positions(self.linear(batch["x"]))}


@pytest.mark.parametrize("count", [1, 4, None])
def test_exported_positions_equal_numpy(count, tmp_path):
    model = Positions()
    outputs = save_graph(model, {"x": FieldSpec((None, count, 6), "float32")}, tmp_path / "main")
    files = [next(tmp_path.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    steps = count or 3
    x = np.random.default_rng(0).normal(size=(2, steps, 6)).astype("float32")
    angles = np.arange(steps)[:, None] * 10000.0 ** (-np.arange(0, 6, 2) / 6)
    wanted = model.linear(paddle.to_tensor(x)).numpy() + np.concatenate([np.sin(angles), np.cos(angles)], -1)
    for backend in ("plain", "onednn"):
        found = PaddleGraph(files, outputs, backend, 1)({"x": x})["logits"]
        np.testing.assert_allclose(found, wanted, atol=1e-6, err_msg=backend)
