"""Factored layers: hand-made matrices, ranks by energy, inputs taken into account, refusals, replay."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn
from prunable import encoder_model
from step_context import FakeContext

from ppmm.app.transforms import replay_transforms
from ppmm.compress.factors import decompose, output_error, rank_of_energy, saving_rank
from ppmm.compress.prune import Prune
from ppmm.compress.steps.low_rank import LowRankStep
from ppmm.errors import CompressError, ConfigError
from ppmm.models.layers.low_rank import LowRankConv2D, LowRankEmbedding, LowRankLinear
from ppmm.models.transforms.lora import LoRA
from ppmm.models.transforms.low_rank import LowRank

RNG = np.random.default_rng(0)


def tensor(*shape):
    return paddle.to_tensor(RNG.normal(size=shape).astype("float32"))


def of_rank(rows, columns, rank):
    return (RNG.normal(size=(rows, rank)) @ RNG.normal(size=(rank, columns))).astype("float32")


def step(model, sample, **arguments):
    return LowRankStep(**arguments).apply(model, FakeContext(sample, [sample]))


def shapes(model):
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def test_the_rank_is_the_least_with_that_share_of_the_squared_singular_values():
    # squares 16, 9, 4, 1 of 30: shares .533, .833, .967, 1
    values = np.array([4.0, 3.0, 2.0, 1.0])
    assert [rank_of_energy(values, share) for share in (0.5, 0.54, 0.833, 0.834, 0.96, 0.97)] == [1, 2, 2, 3, 3, 4]
    assert rank_of_energy(np.zeros(3), 0.9) == 1


def test_a_rank_saves_while_its_factors_have_fewer_numbers():
    assert saving_rank(8, 8) == 3  # 3 * 16 = 48 < 64, 4 * 16 = 64
    assert saving_rank(3, 6) == 1 and saving_rank(2, 2) == 0
    assert saving_rank(10, 40) == 7  # 350 < 400, 8 * 50 = 400


def test_the_error_of_a_truncation_is_what_the_left_out_values_have():
    parts = decompose(np.diag([4.0, 3.0, 2.0, 1.0]))
    narrow, wide = parts.factors(2)
    np.testing.assert_allclose(narrow @ wide, np.diag([4.0, 3.0, 0.0, 0.0]), atol=1e-12)
    assert output_error(np.diag([4.0, 3.0, 2.0, 1.0]), narrow @ wide, None) == pytest.approx(np.sqrt(5 / 30))


def test_with_inputs_the_error_of_the_outputs_is_least():
    # inputs only along the second axis: of diag(10, 1) the small value is what matters
    moments = np.array([[0.0, 0.0], [0.0, 1.0]])
    narrow, wide = decompose(np.diag([10.0, 1.0]), moments).factors(1)
    np.testing.assert_allclose((narrow @ wide)[1], [0.0, 1.0], atol=1e-6)
    plain = np.matmul(*decompose(np.diag([10.0, 1.0])).factors(1))
    assert output_error(np.diag([10.0, 1.0]), plain, moments) == pytest.approx(1.0)
    assert output_error(np.diag([10.0, 1.0]), narrow @ wide, moments) < 1e-6


@pytest.mark.parametrize("kind", ["linear", "embedding", "conv"])
def test_a_layer_of_low_rank_is_found_exactly(kind):
    if kind == "linear":
        layer, x, shape = nn.Linear(12, 10), tensor(5, 12), (12, 10)
    elif kind == "embedding":
        layer, x, shape = nn.Embedding(12, 10), paddle.to_tensor(RNG.integers(0, 12, size=(3, 4))), (12, 10)
    else:
        layer, x, shape = nn.Conv2D(3, 10, 3, stride=2, padding=1, dilation=2), tensor(2, 3, 9, 9), (27, 10)
    matrix = of_rank(*shape, 2)
    layer.weight.set_value(matrix.T.reshape(layer.weight.shape) if kind == "conv" else matrix)
    model = nn.Sequential(layer)
    wanted = model(x).numpy()
    found = step(model, x, energy=0.99999)
    classes = {"linear": LowRankLinear, "embedding": LowRankEmbedding, "conv": LowRankConv2D}
    assert type(model[0]) is classes[kind] and found.transforms[0]["args"] == {"ranks": {"0": 2}}
    np.testing.assert_allclose(model(x).numpy(), wanted, atol=2e-5)
    np.testing.assert_allclose(model[0].weight.numpy(), layer.weight.numpy(), atol=2e-5)
    bias = 0 if kind == "embedding" else 10
    rows = shape[0] * shape[1]
    assert found.report["parameters"] == [rows + bias, 2 * sum(shape) + bias]
    assert found.report["layers"][0]["error"] < 1e-6
    if kind == "linear":
        assert found.report["flops"] == [5 * 120, 5 * 2 * 22]
    if kind == "conv":
        assert found.report["flops"] == [2 * 10 * 16 * 27, 2 * 16 * (2 * 27 + 2 * 10)]  # 4x4 outputs
    json.dumps([found.report, found.transforms])


def test_inputs_taken_into_account_answer_nearer_at_the_same_rank():
    mixing = RNG.normal(size=(16, 16)) * np.geomspace(5, 0.01, 16)[:, None]
    x = paddle.to_tensor((RNG.normal(size=(200, 16)) @ mixing).astype("float32"))
    errors = []
    for aware in (False, True):
        paddle.seed(3)
        model = nn.Sequential(nn.Linear(16, 16))
        wanted = model(x).numpy()
        report = step(model, x, rank=4, data_aware=aware).report["layers"][0]
        errors.append(np.linalg.norm(model(x).numpy() - wanted))
    paddle.seed(3)
    layer = nn.Linear(16, 16)
    exact = np.linalg.norm(x.numpy() @ layer.weight.numpy())
    assert errors[1] < 0.5 * errors[0]
    assert report["output_error"] == pytest.approx(errors[1] / exact, rel=1e-3)


def test_a_convolution_of_one_pixel_and_an_embedding_know_their_inputs():
    ids = paddle.to_tensor(np.array([[1, 1, 1, 1], [1, 1, 1, 2]]))
    model = nn.Sequential(nn.Embedding(20, 8))
    model[0].weight.set_value(np.vstack([np.zeros((1, 8)), np.eye(8), np.eye(8) * 1.5, np.zeros((3, 8))]).astype("f4"))
    wanted = model[0].weight.numpy()[1]
    step(model, ids, rank=1, data_aware=True)
    # token 1 is seen seven times: it is kept before those of greater length
    np.testing.assert_allclose(model[0].weight.numpy()[1], wanted, atol=0.3)
    assert np.abs(model[0].weight.numpy()[1]).max() > 0.7
    image = tensor(2, 6, 4, 4)
    model = nn.Sequential(nn.Conv2D(6, 6, 1))
    assert "output_error" in step(model, image, rank=2, data_aware=True).report["layers"][0]
    model = nn.Sequential(nn.Conv2D(6, 6, 3))
    assert "output_error" not in step(model, image, rank=2, data_aware=True).report["layers"][0]


def test_what_would_not_save_stays_and_is_named():
    model = nn.Sequential(nn.Linear(12, 12), nn.Linear(12, 2))
    before = model[1]
    found = step(model, tensor(4, 12), rank=3)
    assert type(model[0]) is LowRankLinear and model[1] is before
    assert found.report["left"] == {"1": "rank 3 of 12x2 saves nothing (at most 1 would)"}


class Tied(nn.Layer):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 10)
        self.answers = nn.Linear(10, 10, bias_attr=False)
        self.more = nn.Linear(10, 10)
        self.more.weight = self.answers.weight
        self.memory = nn.GRU(10, 10)

    def forward(self, ids):
        return self.more(self.answers(self.memory(self.words(ids))[0]))


def test_refusals_name_the_layer_and_leave_the_model_alone():
    ids = paddle.to_tensor(RNG.integers(0, 20, size=(3, 4)))
    for pattern, message in [
        ("more", "weight is also that of answers"),
        ("memory", "recurrent"),
        ("word", "did you mean 'words'"),
    ]:
        with pytest.raises(CompressError, match=message):
            step(Tied(), ids, rank=2, layers=[pattern])
    with pytest.raises(CompressError, match="skip: 'nothing'"):
        step(Tied(), ids, rank=2, skip=["nothing"])
    model = Tied()
    before = shapes(model)
    with pytest.raises(CompressError, match=r"nothing is factored \(words: rank 9 of 20x10"):
        step(model, ids, rank=9)
    assert shapes(model) == before
    found = step(model, ids, rank=2)
    assert list(found.transforms[0]["args"]["ranks"]) == ["words"] and "tied" in found.report["left"]["answers"]


@pytest.mark.parametrize(
    "arguments", [{"energy": 1.0}, {"energy": 0}, {"rank": 0}, {"rank": 2, "energy": 0.5}, {"layers": []}, {"rows": 0}]
)
def test_bad_arguments(arguments):
    with pytest.raises(ConfigError):
        LowRankStep(**arguments)


def test_lora_is_merged_into_what_is_factored():
    paddle.seed(0)
    model, x = nn.Sequential(nn.Linear(12, 12), nn.Linear(12, 12)), tensor(4, 12)
    LoRA(["*"], rank=2)(model)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            parameter.set_value(np.full(parameter.shape, 0.1, "float32"))
    merged = model[0].merged().weight.numpy()
    found = step(model, x, rank=5, layers=["0"])
    assert type(model[0]) is LowRankLinear and hasattr(model[1], "lora_a")
    left, values, right = np.linalg.svd(merged)
    np.testing.assert_allclose(model[0].weight.numpy(), left[:, :5] * values[:5] @ right[:5], atol=1e-5)
    fresh = nn.Sequential(nn.Linear(12, 12), nn.Linear(12, 12))
    LoRA(["*"], rank=2)(fresh)
    LowRank(**found.transforms[0]["args"])(fresh)
    fresh.set_state_dict(model.state_dict())
    np.testing.assert_array_equal(fresh(x).numpy(), model(x).numpy())
    assert not fresh[0].narrow.weight.stop_gradient and fresh[1].weight.stop_gradient


@pytest.mark.parametrize("name", ["text_transformer", "bilstm", "cnn"])
def test_encoders_prune_factor_prune_and_come_back(name):
    model, sample = encoder_model(name)
    transforms = [Prune(0.25).apply(model, sample).transform]
    found = step(model, sample, energy=0.6)
    transforms += found.transforms
    assert found.report["parameters"][1] < found.report["parameters"][0]
    transforms.append(Prune(0.3).apply(model, sample).transform)
    fresh, _ = encoder_model(name)
    replay_transforms(fresh, transforms, "here")
    fresh.set_state_dict(model.state_dict())
    fresh.eval()
    model.eval()
    for key, value in model(sample).items():
        np.testing.assert_allclose(fresh(sample)[key].numpy(), value.numpy(), atol=1e-6)


def test_the_transform_refuses_another_model():
    with pytest.raises(ConfigError, match="no layer 'b'"):
        LowRank({"b": 2})(nn.Sequential(("a", nn.Linear(8, 8))))
    with pytest.raises(ConfigError, match="LayerNorm"):
        LowRank({"0": 2})(nn.Sequential(nn.LayerNorm(8)))
    with pytest.raises(ValueError, match="at least 1"):
        LowRank({"0": 0})


def test_a_factored_graph_takes_any_number_of_rows(tmp_path):
    model = nn.Sequential(nn.Conv2D(3, 8, 3), nn.Flatten(), nn.Linear(288, 40))
    x = tensor(2, 3, 8, 8)
    step(model, x, rank=3)
    static = paddle.jit.to_static(model, [paddle.static.InputSpec([None, 3, 8, 8])], full_graph=True)
    for rows in (1, 5):
        y = tensor(rows, 3, 8, 8)
        with paddle.no_grad():
            np.testing.assert_allclose(static(y).numpy(), model(y).numpy(), atol=1e-5)
