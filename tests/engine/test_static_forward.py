"""Training through a traced graph: the same losses, names and evaluation."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.evaluator import evaluate
from ppmm.engine.precision import MixedPrecision, Precision
from ppmm.engine.static_forward import check_traceable, trace_training
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.weights import model_arrays
from ppmm.errors import ConfigError
from ppmm.metrics.accuracy import Accuracy
from ppmm.models.encoders.bilstm_attention import BiLSTMAttention
from ppmm.models.encoders.cnn import CNN
from ppmm.models.encoders.cnn_bilstm import CNNBiLSTM
from ppmm.models.fusion.gated import GatedFusion
from ppmm.models.heads.linear import LinearHead
from ppmm.models.late_fusion import LateFusion
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.optim.optimizers import AdamW
from ppmm.types import FieldSpec

SPECS = {
    "image": FieldSpec((None, 1, 12, 12), "float32"), "has_image": FieldSpec((None,), "bool"),
    "text": FieldSpec((None, None), "int64"), "text_mask": FieldSpec((None, None), "bool"),
    "has_text": FieldSpec((None,), "bool"),
    "audio": FieldSpec((None, None, 8), "float32"), "audio_mask": FieldSpec((None, None), "bool"),
    "has_audio": FieldSpec((None,), "bool"),
}  # fmt: skip


def net(**options):
    paddle.seed(7)
    encoders = {
        "image": CNN(1, [4, 8]),
        "text": BiLSTMAttention(dim=8, vocab_size=20, dropout=0.2),
        "audio": CNNBiLSTM(8, dim=8, channels=[4]),
    }
    sizes = {name: encoder.out_dim for name, encoder in encoders.items()}
    return LateFusion(encoders, fusion=GatedFusion(sizes, 16), head=LinearHead(16, 3, 0.1), **options)


def batch_of(number, rows=6):
    """Lengths and rows differ from batch to batch, and rows lack fields, never all."""
    rng = np.random.default_rng(number)
    words, frames = 3 + number % 4, 9 + 2 * (number % 5)
    lengths, sounds = rng.integers(1, words + 1, rows), rng.integers(4, frames + 1, rows)
    present = rng.random((3, rows)) > 0.3
    present[0] |= ~present.any(axis=0)
    arrays = {
        "image": rng.normal(size=(rows, 1, 12, 12)).astype("float32"),
        "text": rng.integers(1, 20, (rows, words)), "text_mask": np.arange(words) < lengths[:, None],
        "audio": rng.normal(size=(rows, frames, 8)).astype("float32"),
        "audio_mask": np.arange(frames) < sounds[:, None],
        **{f"has_{name}": there for name, there in zip(("image", "text", "audio"), present, strict=True)},
        "y": rng.integers(0, 3, rows), "index": np.arange(rows),
    }  # fmt: skip
    return {name: paddle.to_tensor(array) for name, array in arrays.items()}


def step_of(model):
    recipe = AdamW(learning_rate=0.01)
    scheduler = scheduled(recipe.learning_rate, lambda number: 1.0)
    return TrainStep(model, CrossEntropy("y"), recipe.build(list(model.named_parameters()), scheduler), scheduler, 3)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_losses_evaluation_and_names_are_those_of_the_dynamic_model(accumulate):
    found = {}
    for kind in ("dynamic", "static"):
        model = net()
        names = list(model.state_dict())
        if kind == "static":
            trace_training(model, SPECS)
        step = step_of(model)
        losses = []
        for number in range(20):
            group = [batch_of(number * accumulate + part, 6 - part) for part in range(accumulate)]
            losses.append(step(group, number)["loss"])
        assert list(model.state_dict()) == names
        figures = evaluate(model, [batch_of(99)], [Accuracy("y")], step.objective).figures
        found[kind] = losses, figures, model_arrays(model)
    (losses, figures, arrays), (static_losses, static_figures, static_arrays) = found["dynamic"], found["static"]
    assert losses[-1] != losses[0]
    np.testing.assert_allclose(static_losses, losses, rtol=0, atol=1e-5)
    assert static_figures == pytest.approx(figures, abs=1e-5)
    for name, array in arrays.items():
        np.testing.assert_allclose(static_arrays[name], array, atol=1e-4, err_msg=name)


def test_the_graph_is_used_in_training_only_and_traced_once():
    calls = []

    class Counted(nn.Layer):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, batch):
            calls.append(type(batch["x"]).__name__)
            return {"logits": self.layer(batch["x"])}

    model = Counted()
    trace_training(model, {"x": FieldSpec((None, 4), "float32")})
    model.train()
    for rows in (2, 3, 5):
        assert model({"x": paddle.ones([rows, 4]), "y": paddle.zeros([rows])})["logits"].shape == [rows, 3]
    assert calls == ["Value"]
    model.eval()
    model({"x": paddle.ones([2, 4])})
    assert calls == ["Value", "Tensor"]


def test_a_model_that_cannot_be_traced_is_refused():
    class Untraceable(nn.Layer):
        def forward(self, batch):
            return {"logits": sum(a * b for a, b in zip([batch["x"]], [2], strict=True))}

    model = Untraceable()
    trace_training(model, {"x": FieldSpec((None, 4), "float32")})
    model.train()
    with pytest.raises(ConfigError, match=r"trainer\.to_static"):
        model({"x": paddle.ones([2, 4])})
    with pytest.raises(ConfigError, match="no 'x'"):
        model({"y": paddle.ones([2, 4])})


@pytest.mark.parametrize(
    ("precision", "why"),
    [
        (MixedPrecision("bfloat16", device="cpu"), "on a CPU"),
        (MixedPrecision("bfloat16", True, device="cpu"), "on a CPU"),
        (MixedPrecision("float16", True, device="gpu"), "weights of its own"),
    ],
)
def test_precisions_that_a_graph_would_lose_are_refused(precision, why):
    with pytest.raises(ConfigError, match=rf"trainer.to_static.*{why}"):
        check_traceable(precision)


def test_other_precisions_are_traced():
    check_traceable(Precision())
    check_traceable(MixedPrecision("float16", device="gpu"))


def test_a_graph_that_is_first_asked_without_gradients_learns_all_the_same():
    """So a gradient cache does: the first forward pass of each chunk is without."""

    class Linear(nn.Linear):
        def forward(self, batch):
            return {"logits": nn.functional.linear(batch["x"], self.weight, self.bias)}

    paddle.seed(1)
    model = Linear(4, 3)
    batch = {"x": paddle.rand([2, 4])}
    wanted = model.forward(batch)["logits"].numpy()
    trace_training(model, {"x": FieldSpec((None, 4), "float32")})
    model.train()
    with paddle.no_grad():
        for _ in range(2):
            logits = model(batch)["logits"]
            assert logits.stop_gradient, "it would keep what a backward pass needs"
            np.testing.assert_allclose(logits.numpy(), wanted, rtol=1e-6)
    model(batch)["logits"].sum().backward()
    sums = batch["x"].numpy().sum(axis=0)
    np.testing.assert_allclose(model.weight.grad.numpy(), np.stack([sums] * 3, axis=1), rtol=1e-6)
