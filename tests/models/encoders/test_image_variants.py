"""Each way to build an image encoder that the contract tests do not reach: rows apart, exported graphs equal."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.export.graph import save_graph
from ppmm.registry import ENCODERS
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import FieldSpec

VARIANTS = [
    ("resnet", {"depth": 50, "width": 0.125, "bottleneck_width": 2.0, "stem_stride": 2, "drop_path": 0.2}),
    ("resnet", {"depth": 10, "width": 0.125, "stem_stride": 1}),
    ("mobilenet_v3", {"size": "large", "width": 0.2, "stem_stride": 1, "drop_path": 0.2}),
    ("vit", {"patch": 8, "dim": 16, "depth": 2, "pooling": "attention", "drop_path": 0.3}),
    ("vit", {"patch": 8, "dim": 16, "depth": 2, "pooling": "mean", "size": [16, 64]}),
    ("vit", {"patch": 16, "dim": 16, "depth": 1, "heads": 1, "ffn": 8, "size": [32, 48]}),
    ("convnext", {"depths": [1, 1, 2, 1], "width": 0.1, "patch": 1, "drop_path": 0.2}),
    ("lenet", {}),
    ("paddle_vision", {"backbone": "resnet18"}),
    ("paddle_vision", {"backbone": "mobilenet_v3_small"}),
]


class Answers(nn.Layer):
    """Pooled embedding and mean token of the field ``x``."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, batch):
        encoded = self.encoder(batch["x"])
        return {"logits": paddle.concat([encoded.pooled, encoded.tokens.mean(axis=1)], axis=-1)}


def calibrated(name, arguments, x):
    """An encoder in evaluation mode whose biases are not zero and whose batch statistics are those of ``x``."""
    paddle.seed(0)
    encoder = ENCODERS.get(name)(in_channels=3, **arguments)
    rng = np.random.default_rng(0)
    for key, tensor in encoder.state_dict().items():
        if key.endswith(("bias", "scale")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.2)
    for layer in encoder.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer._momentum = 0.0
    encoder.train()
    with paddle.no_grad():
        encoder(paddle.to_tensor(x))
    encoder.eval()
    return Answers(encoder)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_rows_are_apart_and_the_exported_graph_is_equal(name, arguments, tmp_path):
    x = np.random.default_rng(1).normal(size=(5, 3, 32, 48)).astype("float32")
    model = calibrated(name, arguments, x)
    with paddle.no_grad():
        wanted = model({"x": paddle.to_tensor(x)})["logits"].numpy()
        alone = model({"x": paddle.to_tensor(x[3:4])})["logits"].numpy()
    scale = np.abs(wanted).max()
    assert wanted.std(0).max() > 1e-3 * scale, "every row has the same embedding"
    np.testing.assert_allclose(alone[0], wanted[3], atol=1e-5 * scale)
    outputs = save_graph(model, {"x": FieldSpec((None, 3, 32, 48), "float32")}, tmp_path / "main")
    files = [next(tmp_path.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    for backend in ("plain", "onednn"):
        graph = PaddleGraph(files, outputs, backend, 1)
        for rows in (5, 1, 2):
            found = graph({"x": x[:rows]})["logits"]
            np.testing.assert_allclose(found, wanted[:rows], atol=1e-4 * max(1.0, scale), err_msg=backend)
