"""Gradients that are not finite end a run, whatever the loss says."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.finite import lost_gradients
from ppmm.engine.step import DivergenceError, TrainStep, scheduled


def parameters(*gradients):
    found = []
    for number, gradient in enumerate(gradients):
        parameter = paddle.create_parameter([2], "float32")
        if gradient is not None:
            (parameter * paddle.to_tensor(np.float32(gradient))).sum().backward()
        found.append((f"p{number}", parameter))
    return found


@pytest.mark.parametrize(
    ("gradients", "lost"),
    [
        ([[1, -1], [0, 0]], []),
        ([[1, 2], [np.nan, 0], None, [np.inf, 1]], ["p1", "p3"]),
        ([[np.inf, -np.inf]], ["p0"]),
        ([[3e38, 3e38], [1, 1]], []),  # its sum is not finite, itself it is
        ([None], []),
        ([], []),
    ],
)
def test_which(gradients, lost):
    assert lost_gradients(parameters(*gradients)) == lost


class Hidden(nn.Layer):
    """The gradient of sqrt at zero is infinite, its value is not."""

    def __init__(self):
        super().__init__()
        self.w = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, batch):
        return {"y": paddle.sqrt(batch["x"] * self.w)}


def test_the_step_stops_and_changes_nothing():
    model = Hidden()
    schedule = scheduled(0.1, lambda step: 1.0)
    optimizer = paddle.optimizer.Adam(schedule, parameters=model.parameters())
    step = TrainStep(model, lambda outputs, batch: {"loss": outputs["y"].sum()}, optimizer, schedule)
    step([{"x": paddle.to_tensor([4.0]), "index": paddle.to_tensor([3])}], 0)
    before = float(model.w)
    with pytest.raises(DivergenceError) as caught:
        step([{"x": paddle.to_tensor([0.0]), "index": paddle.to_tensor([5])}], 1)
    error = caught.value
    assert str(error).startswith(
        "gradients are not finite (1, first w), though the loss is, at step 1: loss = 0 (train"
    )
    assert (error.rows, error.gradients, error.terms) == ([5], ["w"], {"loss": 0.0})
    assert float(model.w) == before
    assert model.w.grad is None or not model.w.grad.numpy().any()
