"""Squared and Huber loss by hand."""

import numpy as np
import paddle
import pytest

from ppmm.errors import ConfigError
from ppmm.objectives.huber import Huber
from ppmm.objectives.mse import MeanSquaredError

ANSWERS = [[1.0], [2.5], [-4.0]]
NUMBERS = [1.5, 2.5, 0.0]  # errors -0.5, 0, -4


def found(objective):
    outputs = {"logits": paddle.to_tensor(ANSWERS, stop_gradient=False)}
    loss = objective(outputs, {"age": paddle.to_tensor(NUMBERS)})["loss"]
    loss.backward()
    return float(loss), outputs["logits"].grad.numpy().ravel().tolist()


def test_mean_squared_error():
    loss, gradient = found(MeanSquaredError("age"))
    assert loss == pytest.approx((0.25 + 0 + 16) / 3)
    assert gradient == pytest.approx([-1 / 3, 0, -8 / 3])


def test_huber():
    loss, gradient = found(Huber("age"))
    assert loss == pytest.approx((0.125 + 0 + 3.5) / 3)
    assert gradient == pytest.approx([-0.5 / 3, 0, -1 / 3])
    loss, gradient = found(Huber("age", delta=2.0))
    assert loss == pytest.approx((0.125 + 0 + 2 * (4 - 1)) / 3)
    assert gradient == pytest.approx([-0.5 / 3, 0, -2 / 3])


@pytest.mark.parametrize("objective", [MeanSquaredError("age"), Huber("age")])
def test_a_vector_of_outputs_is_no_regression(objective):
    with pytest.raises(ConfigError, match=r"one output per row; there are \[3, 2\] for 3 rows"):
        objective({"logits": paddle.zeros([3, 2])}, {"age": paddle.to_tensor(NUMBERS)})
    flat = paddle.to_tensor(np.ravel(ANSWERS).astype("float32"))
    assert float(objective({"logits": flat}, {"age": paddle.to_tensor(NUMBERS)})["loss"]) == found(objective)[0]


def test_wrong_delta():
    with pytest.raises(ValueError, match="delta must be above 0"):
        Huber("age", delta=0.0)
