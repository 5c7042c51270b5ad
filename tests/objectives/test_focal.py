"""Focal loss by hand and against cross entropy."""

import math

import numpy as np
import paddle
import pytest

from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.objectives.focal import Focal

LOGITS = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])).astype("float32")
LABELS = [0, 0, 1]


def loss_of(objective, logits=LOGITS, **batch):
    tensor = paddle.to_tensor(logits, stop_gradient=False)
    loss = objective({"logits": tensor}, {"label": paddle.to_tensor(LABELS), **batch})["loss"]
    loss.backward()
    return float(loss), tensor.grad.numpy()


def test_by_hand():
    wanted = -(0.1**2 * math.log(0.9) + 0.6**2 * math.log(0.4) + 0.5**2 * math.log(0.5)) / 3
    assert loss_of(Focal("label"))[0] == pytest.approx(wanted, rel=1e-5)
    weights = [2.0, 1.0]
    wanted = -(2 * 0.1**2 * math.log(0.9) + 2 * 0.6**2 * math.log(0.4) + 0.5**2 * math.log(0.5)) / 5
    assert loss_of(Focal("label", class_weights=weights))[0] == pytest.approx(wanted, rel=1e-5)


def test_without_focus_it_is_cross_entropy():
    soft = paddle.to_tensor([[0.7, 0.3], [1.0, 0.0], [0.2, 0.8]])
    for batch in ({}, {"soft_label": soft}):
        for weights in (None, [0.5, 2.0]):
            focal = loss_of(Focal("label", gamma=0.0, class_weights=weights), **batch)
            plain = loss_of(CrossEntropy("label", class_weights=weights), **batch)
            assert focal[0] == pytest.approx(plain[0], rel=1e-6)
            np.testing.assert_allclose(focal[1], plain[1], atol=1e-7)


def test_balanced_weights_are_those_of_cross_entropy():
    focal = Focal("label", class_weights="balanced", class_counts={"label": [30, 10]})
    assert focal.class_weights == pytest.approx([2 / 3, 2.0])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_gradients_are_right_and_finite_for_certain_answers(gamma):
    objective = Focal("label", gamma=gamma)
    logits = np.array([[1.0, -0.5], [0.3, 0.9], [-2.0, 0.1]], "float32")
    gradient, way = loss_of(objective, logits)[1], np.random.default_rng(0).normal(size=(3, 2)).astype("float32")
    ahead, behind = (loss_of(objective, logits + sign * 1e-2 * way)[0] for sign in (1, -1))
    assert (gradient * way).sum() == pytest.approx((ahead - behind) / 2e-2, rel=1e-3)
    for size in (50.0, 1e4):
        loss, gradient = loss_of(objective, np.array([[size, -size], [-size, size], [0, 0]], "float32"))
        assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_wrong_gamma():
    with pytest.raises(ValueError, match="gamma must not be negative"):
        Focal("label", gamma=-1.0)
