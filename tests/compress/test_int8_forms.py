"""Linear layers in INT8 under oneDNN: the graph computes what quantisation says, whatever the weights are."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.compress.int8_forms import fit_for_int8, layer_names, stays_linear
from ppmm.compress.trained_ranges import quantise_with_ranges
from ppmm.export.bundle import graph_entry
from ppmm.models.layers.fake_quantisation import quantised_weight
from ppmm.models.layers.linear_convolution import LinearConvolution
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import FieldSpec


def linear(weight, bias=True):
    layer = nn.Linear(*weight.shape, bias_attr=None if bias else False)
    layer.weight.set_value(weight.astype("float32"))
    if bias:
        layer.bias.set_value(np.linspace(-1, 1, weight.shape[1]).astype("float32"))
    return layer


@pytest.mark.parametrize("shape", [[3, 4], [2, 5, 4], [2, 3, 5, 4], [2, 1, 3, 2, 4]])
@pytest.mark.parametrize("bias", [True, False])
def test_the_form_answers_as_the_layer(shape, bias):
    paddle.seed(0)
    base = linear(np.random.default_rng(0).normal(size=(4, 6)), bias)
    x = paddle.randn(shape)
    other = LinearConvolution(base)
    np.testing.assert_allclose(other(x).numpy(), base(x).numpy(), atol=1e-6)
    assert np.array_equal(other.weight.numpy(), base.weight.numpy())


def test_which_layers_stay_as_they_are():
    alike = np.ones((4, 8)) * np.where(np.arange(8) % 2, 1.0, -1.0)
    assert stays_linear(linear(alike))
    assert not stays_linear(linear(alike, bias=False)), "Paddle leaves these in float32"
    assert not stays_linear(linear(np.ones((4, 4))))
    large = alike.copy()
    large[0, 0] = 1.5  # memory 0..3 is of channels 0..3, so channel 0 gets 1.5, but 4..7 gets 1 for channel 1
    assert stays_linear(linear(large))
    large[0, 5] = 1.5  # of channel 5, whose range is that of the numbers 20..23
    assert not stays_linear(linear(large))


class Small(nn.Layer):
    outputs = ("logits",)

    def __init__(self, layer):
        super().__init__()
        self.head = layer

    def forward(self, batch):
        return {"logits": self.head(batch["x"])}


@pytest.mark.parametrize("size", [(6, 3), (4, 8), (8, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_int8_graph_computes_what_quantisation_says(size, bias, tmp_path):
    """Ranges of channels that differ much, of which oneDNN cut off a third as long as these were matrices."""
    rng = np.random.default_rng(1)
    layer = linear(rng.normal(size=size) * np.geomspace(0.1, 3.0, size[1]), bias)
    x = rng.normal(size=(16, size[0])).astype("float32")
    bound = float(np.abs(x).max())
    inputs = np.round(x / bound * 127) * bound / 127
    wanted = inputs @ quantised_weight(layer.weight, 1).numpy() + (layer.bias.numpy() if bias else 0.0)
    model = Small(layer)
    fit_for_int8(model)
    model.eval()
    names = layer_names(model)
    assert set(names.values()) == {"head.weight", *(["head.bias"] if bias else [])}
    (tmp_path / "fp32").mkdir(), (tmp_path / "int8").mkdir()
    entry = graph_entry(
        model, {"x": FieldSpec((None, size[0]), "float32")}, tmp_path / "fp32", precision="int8", old_ir=True
    )
    weight = next(key for key, name in names.items() if name == "head.weight")
    files = [tmp_path / "fp32" / name for name in entry["files"]]
    report = quantise_with_ranges(files, {weight: bound}, tmp_path / "int8" / "main", names)
    assert [layer["name"] for layer in report["layers"]] == ["head.weight"]
    graph = PaddleGraph(
        [tmp_path / "int8" / f"main.{end}" for end in ("pdmodel", "pdiparams")], ["logits"], "onednn", 1, "int8"
    )
    np.testing.assert_allclose(graph({"x": x})["logits"], wanted, atol=1e-4 * np.abs(wanted).max())
