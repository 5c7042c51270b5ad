"""One optimizer step: mean gradient, dropout by step number, a loss that is not finite."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import TrainStep, scheduled
from ppmm.errors import PpmmError
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.optim.optimizers import SGD, AdamW


class Net(nn.Layer):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, 3))

    def forward(self, batch):
        return {"logits": self.layers(batch["x"])}


def net(dropout=0.0):
    paddle.seed(7)
    return Net(dropout)


def batch(rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype("float32")
    labels = rng.integers(0, 3, rows)
    return {"x": paddle.to_tensor(x), "y": paddle.to_tensor(labels), "index": paddle.arange(rows)}


def part(whole, start, stop):
    return {name: tensor[start:stop] for name, tensor in whole.items()}


def step_of(model, recipe=None, objective=None, factor=lambda step: 1.0, clip_norm=None, seed=0):
    recipe = recipe or SGD(learning_rate=0.5, momentum=0.0, weight_decay=0.0)
    scheduler = scheduled(recipe.learning_rate, factor)
    clip = None if clip_norm is None else nn.ClipGradByGlobalNorm(clip_norm)
    optimizer = recipe.build(list(model.named_parameters()), scheduler, clip)
    return TrainStep(model, objective or CrossEntropy("y"), optimizer, scheduler, seed)


def weights(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def assert_equal(found, wanted, **tolerance):
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, **tolerance, err_msg=name)


@pytest.mark.parametrize("cuts", [[8], [4, 4], [2, 2, 2, 2], [1] * 8])
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_mean_gradient_of_several_batches_is_that_of_one(cuts, clip_norm):
    whole = batch(8)
    model = net()
    before = weights(model)
    loss = CrossEntropy("y")(model(whole), whole)["loss"]
    loss.backward()
    gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    model.clear_gradients()
    ends = np.cumsum(cuts)
    terms = step_of(model, clip_norm=clip_norm)(
        [part(whole, end - size, end) for size, end in zip(cuts, ends, strict=True)], 0
    )
    scale = 0.5 if clip_norm is None else 0.5 * clip_norm / norm
    assert terms == {"loss": pytest.approx(float(loss), rel=1e-5)}
    assert_equal(weights(model), {name: before[name] - scale * g for name, g in gradients.items()}, atol=1e-6)


def test_gradients_do_not_pile_up():
    whole = batch(8)
    model = net()
    step = step_of(model)
    step([whole], 0)
    after_one = weights(model)
    step([whole], 1)
    fresh = net()
    fresh.set_state_dict({name: paddle.to_tensor(array) for name, array in after_one.items()})
    step_of(fresh)([whole], 1)
    assert_equal(weights(model), weights(fresh), atol=1e-7)


def test_terms_are_means_over_the_batches():
    def objective(outputs, batch):
        value = batch["x"].mean()
        return {"loss": outputs["logits"].sum() * 0 + value, "other": value * 2}

    batches = [{"x": paddle.full([2, 4], value)} for value in (1.0, 3.0, 8.0)]
    assert step_of(net(), objective=objective)(batches, 0) == pytest.approx({"loss": 4.0, "other": 8.0})


@pytest.mark.parametrize("start", [0, 5])
def test_learning_rate_follows_the_step_number(start):
    """A resumed run begins at any step; nothing but the number decides."""
    model, whole = net(), batch(8)
    step = step_of(model, factor=lambda number: (number + 1) / 10)
    for number in range(start, start + 3):
        before = weights(model)
        loss = CrossEntropy("y")(model(whole), whole)["loss"]
        loss.backward()
        gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
        model.clear_gradients()
        step([whole], number)
        assert float(step.scheduler()) == pytest.approx(0.5 * (number + 1) / 10)
        rate = 0.5 * (number + 1) / 10
        assert_equal(weights(model), {name: before[name] - rate * g for name, g in gradients.items()}, atol=1e-6)


def test_dropout_depends_on_seed_and_step_only():
    """The loss of step 5 is the same whatever was drawn before."""
    whole = batch(64)

    def loss_at(number, seed=0, draws=0):
        model = net(dropout=0.5)
        step = step_of(model, seed=seed)
        paddle.rand([draws + 1])
        return step([whole], number)["loss"]

    assert loss_at(5) == loss_at(5, draws=1000)
    losses = {loss_at(number) for number in range(6)} | {loss_at(5, seed=1)}
    assert len(losses) == 7


def test_dropout_differs_between_the_batches_of_one_step():
    seen = []

    def objective(outputs, batch):
        seen.append(outputs["logits"].numpy().copy())
        return CrossEntropy("y")(outputs, batch)

    whole = batch(16)
    step_of(net(dropout=0.5), objective=objective)([whole, whole], 0)
    assert np.abs(seen[0] - seen[1]).max() > 1e-3


def test_it_trains_in_training_mode_after_an_evaluation():
    model = net(dropout=0.5)
    model.eval()
    losses = {step_of(model)([batch(64)], number)["loss"] for number in range(2)}
    model.eval()
    assert len(losses) == 2 and not model.layers[2].training
    step_of(model)([batch(4)], 0)
    assert model.layers[2].training


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("recipe", [SGD(), AdamW()])
def test_a_loss_that_is_not_finite_stops_before_the_update(value, recipe):
    calls = []

    def objective(outputs, batch):
        calls.append(None)
        bad = value if len(calls) == 4 else 1.0
        loss = (outputs["logits"] ** 2).mean() * bad
        return {"loss": loss, "match": loss * 0 + 0.25, "norm": loss}

    model, whole = net(), batch(4)
    whole["index"] = paddle.to_tensor([11, 12, 13, 14])
    step = step_of(model, recipe, objective)
    step([whole], 8)
    before = weights(model)
    with pytest.raises(PpmmError) as caught:
        step([whole, whole, whole], 9)
    message = str(caught.value)
    assert "step 9" in message and f"loss = {value:g}" in message and "norm = " in message and "match = " in message
    assert "11, 12, 13, 14" in message
    assert_equal(weights(model), before, atol=0)
    assert all(p.grad is None or not p.grad.numpy().any() for p in model.parameters()), "gradients of the failed step"


def test_the_message_survives_a_batch_without_index_and_many_rows():
    def objective(outputs, batch):
        return {"loss": outputs["logits"].sum() * float("nan")}

    with pytest.raises(PpmmError, match="not finite"):
        step_of(net(), objective=objective)([{"x": paddle.ones([1, 4])}], 0)
    with pytest.raises(PpmmError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7 \.\.\.\)"):
        step_of(net(), objective=objective)([batch(100)], 0)
