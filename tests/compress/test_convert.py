"""The steps ``convert`` and ``smooth``: numbers by hand, answers that stay, and what is refused."""

import json

import numpy as np
import paddle
import pytest
from made_context import MadeContext
from paddle import nn

from ppmm.compress.steps.convert import Convert
from ppmm.compress.steps.qat import QAT
from ppmm.compress.steps.smooth import Smooth
from ppmm.errors import CompressError, ConfigError
from ppmm.models.encoders.text_transformer import TextTransformer


class Small(nn.Layer):
    outputs = ("logits",)

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)
        self.side = nn.Linear(4, 2)

    def forward(self, batch):
        x = self.norm(self.first(batch["x"]))
        return {"logits": self.head(x) + self.side(x)}


class Residual(Small):
    def forward(self, batch):
        x = self.norm(self.first(batch["x"]))
        return {"logits": self.head(x) + x[:, :2]}


def made(kind=Small):
    paddle.seed(8)
    model = kind()
    return model, {"x": paddle.randn([8, 3])}


@pytest.mark.parametrize(("precision", "digits"), [("bf16", 8), ("fp16", 11)])
def test_weights_have_the_digits_of_the_format(precision, digits):
    model, batch = made()
    before = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    result = Convert(precision).apply(model, MadeContext(batch))
    for name, parameter in model.named_parameters():
        mantissa, exponent = np.frexp(before[name])
        wanted = np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits)
        np.testing.assert_allclose(parameter.numpy(), wanted, rtol=1e-7, err_msg=name)
    assert 0 < result.report["largest_relative_change"] <= 2.0**-digits
    assert result.transforms == [{"name": "precision", "args": {"precision": precision}, "shapes": {}}]


def test_int8_is_noted_with_its_settings_and_changes_no_weight():
    model, batch = made()
    before = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    result = Convert("int8", "KL", 64, ["head.weight"], 1, True).apply(model, MadeContext(batch))
    assert json.loads(json.dumps(result.transforms))[0]["args"] == {
        "precision": "int8", "algorithm": "KL", "calibrate": 64, "keep": ["head.weight"], "keep_worst": 1,
        "bias_correction": True,
    }  # fmt: skip
    assert all(np.array_equal(parameter.numpy(), before[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"precision": "int4"}, "precision must be one of bf16, fp16, int8, got 'int4'; did you mean 'int8'"),
        ({"precision": "int8", "algorithm": "max"}, "algorithm must be one of"),
        ({"precision": "int8", "calibrate": 0}, "calibrate must be at least 1"),
        ({"precision": "int8", "keep_worst": -1}, "keep_worst must be"),
        ({"precision": "bf16", "keep": ["head"]}, "are of int8, not of bf16"),
    ],
)
def test_settings_that_make_no_sense(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Convert(**arguments)


def test_models_that_cannot_be_converted():
    model, batch = made()
    with pytest.raises(CompressError, match=r"no weight 'haed.weight' to keep"):
        Convert("int8", keep=["haed.weight"]).apply(model, MadeContext(batch))
    model.head.bias.set_value(np.array([1e5, 0], "float32"))
    with pytest.raises(CompressError, match=r"head.bias has a number above 65504"):
        Convert("fp16").apply(model, MadeContext(batch))
    QAT().apply(model, MadeContext(batch))
    with pytest.raises(CompressError, match="trained in 8 bits already"):
        Convert("int8").apply(model, MadeContext(batch))


def test_smoothing_moves_outliers_into_the_weights_and_changes_no_answer():
    model, batch = made()
    model.norm.weight.set_value(np.array([1.0, 1.0, 50.0, 1.0], "float32"))
    wanted = model(batch)["logits"].numpy()
    x = np.abs(model.norm(model.first(batch["x"])).numpy()).max(axis=0)
    w = np.maximum(np.abs(model.head.weight.numpy()).max(axis=1), np.abs(model.side.weight.numpy()).max(axis=1))
    scale = np.sqrt(x / w)
    result = Smooth(0.5).apply(model, MadeContext(batch))
    np.testing.assert_allclose(model.norm.weight.numpy(), np.array([1, 1, 50, 1]) / scale, rtol=1e-5)
    np.testing.assert_allclose(model(batch)["logits"].numpy(), wanted, rtol=1e-4, atol=1e-5)
    told = result.report["smoothed"]["norm"]
    assert told["readers"] == 2 and told["before"] == pytest.approx(x.max(), rel=1e-5)
    assert told["after"] == pytest.approx((x / scale).max(), rel=1e-5) and told["after"] < 0.2 * told["before"]


def test_an_output_that_is_read_elsewhere_too_is_left_alone():
    model, batch = made(Residual)
    before = model.norm.weight.numpy()
    with pytest.raises(CompressError, match=r"nothing could be smoothed.*read by more than linear layers"):
        Smooth().apply(model, MadeContext(batch))
    assert np.array_equal(model.norm.weight.numpy(), before)


def test_layer_norms_of_a_transformer_are_smoothed():
    class Text(nn.Layer):
        outputs = ("logits",)

        def __init__(self):
            super().__init__()
            self.text = TextTransformer(20, dim=8, layers=2, heads=2)

        def forward(self, batch):
            return {"logits": self.text(batch["text"], batch["text_mask"]).pooled}

    paddle.seed(1)
    model = Text()
    batch = {"text": paddle.randint(1, 20, [6, 5]), "text_mask": paddle.ones([6, 5], "bool")}
    model.eval()
    wanted = model(batch)["logits"].numpy()
    result = Smooth().apply(model, MadeContext(batch))
    assert result.report["smoothed"]
    np.testing.assert_allclose(model(batch)["logits"].numpy(), wanted, rtol=1e-3, atol=1e-4)


def test_smoothing_of_what_it_is_not_for():
    with pytest.raises(ConfigError, match="alpha must be from 0 to 1"):
        Smooth(1.5)
    with pytest.raises(ConfigError, match="rows must be"):
        Smooth(rows=0)
    model, batch = made()
    model.norm = nn.Identity()
    with pytest.raises(CompressError, match="no LayerNorm here is followed by a linear layer"):
        Smooth().apply(model, MadeContext(batch))
