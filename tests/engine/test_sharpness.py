"""Sharpness-aware minimisation against hand-computed steps."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.sharpness import climbed
from ppmm.engine.step import DivergenceError, TrainStep, scheduled
from ppmm.optim.optimizers import SGD

CURVATURE = np.array([[3.0, 1.0], [1.0, 2.0]], "float32")


class Quadratic(nn.Layer):
    """L(w) = w' A w / 2, whose gradient is A w."""

    def __init__(self, start):
        super().__init__()
        self.w = self.create_parameter([2], default_initializer=nn.initializer.Assign(np.array(start, "float32")))

    def forward(self, batch):
        return {"loss": 0.5 * (self.w @ paddle.to_tensor(CURVATURE) @ self.w) + 0.0 * batch["x"].sum()}


def step_of(model, sam, rate=0.1, objective=lambda outputs, batch: {"loss": outputs["loss"]}, momentum=0.0):
    recipe = SGD(learning_rate=rate, momentum=momentum, weight_decay=0.0)
    scheduler = scheduled(rate, lambda step: 1.0)
    optimizer = recipe.build(list(model.named_parameters()), scheduler, None)
    return TrainStep(model, objective, optimizer, scheduler, seed=3, sam=sam)


def batch(rows, seed=0, size=1):
    return {"x": paddle.to_tensor(np.random.default_rng(seed).normal(size=(rows, size)).astype("float32"))}


def test_steps_on_a_quadratic_are_those_of_the_paper():
    rho, rate = 0.5, 0.1
    model = Quadratic([1.0, -2.0])
    step = step_of(model, rho, rate)
    w = np.array([1.0, -2.0])
    for number in range(4):
        gradient = CURVATURE @ w
        loss = 0.5 * w @ gradient
        w = w - rate * CURVATURE @ (w + rho * gradient / np.linalg.norm(gradient))
        assert step([batch(2)], number)["loss"] == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(model.w.numpy(), w, rtol=1e-5)


def test_weights_come_back_bit_by_bit_and_a_flat_place_stays():
    model = Quadratic([0.3, 0.7])
    model(batch(1))["loss"].backward()
    before = model.w.numpy().copy()
    with climbed([model.w], [], 1.0):
        assert np.linalg.norm(model.w.numpy() - before) == pytest.approx(1.0, rel=1e-5)
        assert model.w.grad is None or not model.w.grad.numpy().any()
    assert model.w.numpy().tobytes() == before.tobytes()
    flat = Quadratic([0.0, 0.0])
    step_of(flat, 0.5)([batch(1)], 0)
    assert not flat.w.numpy().any()


class Net(nn.Layer):
    def __init__(self, dropout=0.5, norm=True):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1D(4) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(4, 1)

    def forward(self, batch):
        return {"y": self.out(self.dropout(self.norm(self.linear(batch["x"])).tanh()))}


def square(outputs, batch):
    return {"loss": (outputs["y"] ** 2).mean()}


def test_both_gradients_see_the_same_dropout():
    """The ascent of a hand-made step with one mask, repeated, is the same one."""
    paddle.seed(1)
    model = Net(norm=False)
    step = step_of(model, 0.2, objective=square)
    data = batch(8, size=3)
    weights = [parameter.numpy().copy() for parameter in model.parameters()]

    def gradients():
        step._draw_from(5)
        model.train()
        square(model(data), data)["loss"].backward()
        found = [parameter.grad.numpy().copy() for parameter in model.parameters()]
        model.clear_gradients()
        return found

    first = gradients()
    norm = np.sqrt(sum((gradient**2).sum() for gradient in first))
    for parameter, gradient in zip(model.parameters(), first, strict=True):
        parameter.set_value(parameter.numpy() + 0.2 * gradient / norm)
    second = gradients()
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.set_value(weight)
    step([data], 5)
    for parameter, weight, gradient in zip(model.parameters(), weights, second, strict=True):
        np.testing.assert_allclose(parameter.numpy(), weight - 0.1 * gradient, atol=1e-6)


def test_accumulated_batches_are_one_batch():
    data = batch(8, size=3)
    found = []
    for cuts in ([8], [4, 4], [2, 6]):
        paddle.seed(2)
        model = Net(0.0, norm=False)
        ends = np.cumsum(cuts)
        parts = [{"x": data["x"][end - size : end]} for end, size in zip(ends, cuts, strict=True)]
        step_of(model, 0.3, objective=square)(parts, 0)
        found.append([parameter.numpy() for parameter in model.parameters()])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


def test_batch_statistics_count_a_batch_once():
    data = batch(8, size=3)
    found = []
    for sam in (None, 0.5):
        paddle.seed(2)
        model = Net()
        step_of(model, sam, objective=square)([data], 0)
        found.append((model.norm._mean.numpy(), model.norm._variance.numpy()))
    for one, two in zip(*found, strict=True):
        assert one.tobytes() == two.tobytes()


def test_a_loss_that_overflows_above_leaves_the_weights():
    model = Quadratic([1.0, 1.0])

    def steep(outputs, batch):
        return {"loss": outputs["loss"] / (model.w.norm() < 2.0).astype("float32")}

    with pytest.raises(DivergenceError):
        step_of(model, 5.0, objective=steep)([batch(2)], 0)
    assert model.w.numpy().tolist() == [1.0, 1.0]
