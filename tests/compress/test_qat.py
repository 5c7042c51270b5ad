"""Rounding within training, against numbers worked out by hand, and the step."""

import math

import numpy as np
import paddle
import pytest
from made_context import MadeContext
from paddle import nn

from ppmm.compress.steps.qat import QAT
from ppmm.errors import CompressError, ConfigError
from ppmm.models.layers.fake_quantisation import LSQ, PACT, ActivationQuantiser, quantised_weight
from ppmm.models.layers.fake_quantised import fake_quantised, fake_quantised_layers, without_rounding
from ppmm.models.layers.replace import merge_layers
from ppmm.models.transforms.qat import FakeQuantisation


def tensor(values, trained=True):
    found = paddle.to_tensor(np.array(values, "float32"))
    found.stop_gradient = not trained
    return found


def test_weights_have_127_levels_on_each_side_of_each_channel():
    weight = tensor([[1.27, 0.004, -0.006], [-2.54, 0.02, 0.9]])
    by_row = quantised_weight(weight, 0)
    np.testing.assert_allclose(by_row.numpy(), [[1.27, 0.0, -0.01], [-2.54, 0.02, 0.9]], atol=1e-6)
    whole = quantised_weight(weight, None)
    np.testing.assert_allclose(whole.numpy(), [[1.28, 0.0, 0.0], [-2.54, 0.02, 0.9]], atol=2e-2)
    by_row.sum().backward()
    assert np.array_equal(weight.grad.numpy(), np.ones((2, 3))), "the gradient passes the rounding"


def test_a_moving_average_is_paddles_own_and_stands_still_in_evaluation():
    quantiser = ActivationQuantiser(rate=0.9)
    quantiser.train()
    total, count = 0.0, 0.0
    for largest in (2.0, 4.0, 1.0):
        quantiser(tensor([0.5, -largest]))
        total, count = 0.9 * total + largest, 0.9 * count + 1
    assert quantiser.range() == pytest.approx(total / count, rel=1e-6)
    quantiser.eval()
    before = quantiser.range()
    step = before / 127
    found = quantiser(tensor([100.0, 0.4 * step, 0.6 * step])).numpy()
    np.testing.assert_allclose(found, [before, 0.0, step], rtol=1e-5, atol=1e-7)
    assert quantiser.range() == before


def test_lsq_has_the_gradients_of_its_paper():
    """Equations 3 and 5 of Esser et al. 2020 with s = 1 and n = 3; the parameter is log(127 s)."""
    quantiser = LSQ()
    quantiser.log_bound.set_value(paddle.to_tensor([math.log(127.0)], dtype="float32"))
    x = tensor([[0.3, 1.6, 500.0]])
    y = quantiser(x)
    np.testing.assert_allclose(y.numpy(), [[0.0, 2.0, 127.0]], rtol=1e-5)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[1.0, 1.0, 0.0]])
    by_step = (0.0 - 0.3) + (2.0 - 1.6) + 127.0
    share = 1 / math.sqrt(127 * 3)
    np.testing.assert_allclose(quantiser.log_bound.grad.numpy(), [by_step * share], rtol=1e-4)  # ds/dlog = s = 1


def test_pact_learns_from_what_is_cut_off_alone():
    quantiser = PACT()
    quantiser.log_bound.set_value(paddle.to_tensor([math.log(2.0)], dtype="float32"))
    x = tensor([3.0, -5.0, 1.0, 9.0])
    y = quantiser(x)
    np.testing.assert_allclose(y.numpy(), [2.0, -2.0, round(127 / 2) * 2 / 127, 2.0], rtol=1e-5)
    y.sum().backward()
    assert x.grad.numpy().tolist() == [0.0, 0.0, 1.0, 0.0]
    np.testing.assert_allclose(quantiser.log_bound.grad.numpy(), [2.0 * (1 - 1 + 1)], rtol=1e-5)


@pytest.mark.parametrize("kind", [ActivationQuantiser, LSQ, PACT])
def test_zeros_alone_divide_nothing_by_zero(kind):
    quantiser = kind()
    quantiser.observe(tensor([0.0, 0.0]))
    quantiser.settle()
    assert np.array_equal(quantiser(tensor([0.0, 0.0])).numpy(), [0.0, 0.0])


def layers_and_inputs():
    paddle.seed(4)
    return {
        "linear": (nn.Linear(5, 3), [2, 5]),
        "square": (nn.Linear(4, 4), [2, 6, 4]),
        "conv2d": (nn.Conv2D(4, 6, 3, stride=2, padding=1, groups=2), [2, 4, 8, 8]),
        "depthwise": (nn.Conv2D(4, 4, 3, padding="SAME", groups=4, bias_attr=False), [1, 4, 5, 5]),
        "conv1d": (nn.Conv1D(3, 5, 3, padding=[2, 0], dilation=2), [2, 3, 9]),
        "conv1d_last": (nn.Conv1D(3, 5, 4, stride=2, padding=1, data_format="NLC"), [2, 9, 3]),
    }


@pytest.mark.parametrize("name", layers_and_inputs())
def test_a_layer_is_the_plain_one_without_rounding_and_near_it_with(name):
    base, shape = layers_and_inputs()[name]
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))
    wanted = base(x).numpy()
    quantiser = ActivationQuantiser()
    quantiser.observe(x)
    model = nn.Sequential(fake_quantised(base, quantiser))
    model.eval()
    assert (
        list(model.state_dict()) == ["0.weight", "0.bias", "0.quantiser.bound", "0.quantiser.count"]
        or name == "depthwise"
    )
    rounded = model(x).numpy()
    error = np.abs(rounded - wanted).max()
    assert 0 < error < 0.05 * np.abs(wanted).max()
    with without_rounding(model):
        assert np.array_equal(model(x).numpy(), wanted)
    merge_layers(model)
    np.testing.assert_allclose(model(x).numpy(), wanted, atol=1e-6)
    assert not fake_quantised_layers(model)


class Small(nn.Layer):
    """Convolution, recurrent layer, answer."""

    outputs = ("logits",)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1D(3, 6, 3, padding=1)
        self.rnn = nn.GRU(6, 5)
        self.head = nn.Linear(5, 4)
        self.unused = nn.Linear(2, 2)

    def forward(self, batch):
        steps, _ = self.rnn(self.conv(batch["x"]).transpose([0, 2, 1]))
        return {"logits": self.head(steps.mean(axis=1))}


def small():
    paddle.seed(6)
    return Small(), {"x": paddle.randn([8, 3, 7])}


@pytest.mark.parametrize("activation", ["moving_average", "lsq", "pact"])
def test_the_step_rounds_what_runs_and_names_the_rest(activation):
    model, sample = small()
    context = MadeContext(sample)
    result = QAT(activation, max_steps=3).apply(model, context)
    assert sorted(result.report["int8"]) == ["conv", "head"]
    assert result.report["float32"] == {"rnn": "recurrent", "unused": "its weight is read without calling it"}
    largest = float(sample["x"].abs().max())
    assert result.report["int8"]["conv"] == pytest.approx(largest, rel=1e-5), "of the only batch"
    assert context.trained[0][1] == 1, "the run's checkpoints need the transform"
    other, _ = small()
    FakeQuantisation(**result.transforms[0]["args"])(other)
    other.set_state_dict(model.state_dict())
    model.eval(), other.eval()
    assert np.array_equal(model(sample)["logits"].numpy(), other(sample)["logits"].numpy())
    new = {name: list(value.shape) for name, value in other.state_dict().items() if "quantiser" in name}
    assert result.transforms[0]["shapes"] == new


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bits": 0}, "bits must be 8"),
        ({"activation": "max"}, "activation must be one of moving_average, lsq, pact"),
        ({"rate": 1.0}, "rate must be"),
        ({"calibrate": 0}, "calibrate must be at least 1"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_values_that_make_no_sense(arguments, words):
    with pytest.raises(ConfigError, match=words):
        QAT(**arguments)


def test_models_that_the_step_cannot_take():
    model, sample = small()
    with pytest.raises(CompressError, match=r"keep: 'haed' matches no convolution.*did you mean 'head'"):
        QAT(keep=["haed"]).apply(model, MadeContext(sample))
    with pytest.raises(CompressError, match=r"no layer is left for 8 bits: .*conv \(kept\)"):
        QAT(keep=["*"]).apply(model, MadeContext(sample))
    QAT().apply(model, MadeContext(sample))
    with pytest.raises(CompressError, match="trained in 8 bits already"):
        QAT().apply(model, MadeContext(sample))


def test_forms_that_the_transform_cannot_make():
    model, _ = small()
    for layers, words in ((["cnov"], "no layer 'cnov'"), (["rnn"], "rnn is a GRU")):
        with pytest.raises(ConfigError, match=words):
            FakeQuantisation(layers)(model)
    FakeQuantisation(["head"])(model)
    with pytest.raises(ConfigError, match="head is rounded to 8 bits already"):
        FakeQuantisation(["head"])(model)
