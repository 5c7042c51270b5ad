"""What a replay says of layers, rows and gradients, against numbers worked out by hand."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.replay import replay_step
from ppmm.engine.step import TrainStep, scheduled


class Root(nn.Layer):
    """first(x) -> sqrt -> last: negative numbers become NaN between the layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2, weight_attr=self._weight(np.eye(2)), bias_attr=False)
        self.root = Sqrt()
        self.last = nn.Linear(2, 1, weight_attr=self._weight([[1.0], [2.0]]), bias_attr=False)

    @staticmethod
    def _weight(values):
        return paddle.ParamAttr(initializer=nn.initializer.Assign(np.asarray(values, np.float32)))

    def forward(self, batch):
        return {"y": self.last(self.root(self.first(batch["x"])))[:, 0]}


class Sqrt(nn.Layer):
    def forward(self, x):
        return paddle.sqrt(x)


def replayed(*batches, model=None, objective=None):
    model = model or Root()
    schedule = scheduled(0.1, lambda step: 1.0)
    optimizer = paddle.optimizer.SGD(schedule, parameters=model.parameters())
    objective = objective or (lambda outputs, batch: {"loss": outputs["y"].mean(), "y": outputs["y"].max()})
    step = TrainStep(model, objective, optimizer, schedule)
    return replay_step(
        step, [{"x": paddle.to_tensor(np.float32(x)), "index": paddle.to_tensor(i)} for x, i in batches], 3
    )


def test_a_finite_step():
    found = replayed(([[1, 4], [9, 0.25]], [7, 8]), ([[16, 1]], [5]))
    assert found.finite and found.weights == [] and not any(row.suspicious for row in found.rows)
    assert [row.row for row in found.rows] == [7, 8, 5]
    # y = sqrt(x0) + 2 sqrt(x1): 5, 4 and 6; batches count by their rows
    assert found.terms == {"loss": 5.0, "y": pytest.approx(5 * 2 / 3 + 6 / 3)}
    assert [row.loss for row in found.rows] == [5.0, 4.0, 6.0]
    layers = {layer.name: layer for layer in found.layers}
    assert list(layers) == ["first", "root", "last"] and all(layer.finite for layer in found.layers)
    assert (layers["root"].low, layers["root"].high, layers["root"].size, layers["root"].kind) == (0.5, 4.0, 6, "Sqrt")
    # d loss / d last = the mean of the roots: (1+3+4)/3 and (2+0.5+1)/3
    assert found.gradients["last.weight"] == pytest.approx(np.hypot(8 / 3, 3.5 / 3))


def test_the_first_layer_and_the_row_that_are_not_finite():
    found = replayed(([[1, 4], [-1, 1], [4, 1]], [7, 8, 9]))
    assert not found.finite and found.gradients == {}
    assert [layer.name for layer in found.layers if not layer.finite] == ["root", "last"]
    root = found.layers[1]
    assert (root.low, root.high, root.nan, root.infinite) == (1.0, 2.0, 1, 0)
    (row,) = (row for row in found.rows if row.suspicious)
    assert (row.row, row.inputs, row.layer, row.outputs) == (8, {}, "root", {"y": 1}) and np.isnan(row.loss)


def test_batch_normalisation_spoils_every_row_but_one_input_is_bad():
    class Normed(Root):
        def __init__(self):
            super().__init__()
            self.root = nn.BatchNorm1D(2)

    found = replayed(([[1, 4], [np.nan, np.inf], [4, 1]], [7, 8, 9]), model=Normed())
    assert all(row.outputs == {"y": 1} for row in found.rows)
    assert [row.inputs for row in found.rows] == [{}, {"x": 2}, {}]
    assert [row.layer for row in found.rows] == ["root", "first", "root"]
    assert (found.layers[0].nan, found.layers[0].infinite) == (2, 0), "0 * infinity is NaN"


def test_weights_that_were_not_finite_before():
    model = Root()
    model.first.weight.set_value(paddle.to_tensor([[np.inf, 0.0], [0.0, 1.0]]))
    found = replayed(([[1.0, 1.0]], [0]), model=model)
    assert found.weights == ["first.weight"] and found.layers[0].name == "first" and found.layers[0].infinite == 1


def test_rows_of_a_whole_batch_have_no_loss_of_their_own():
    class Contrast:
        whole_batch = True

        def __call__(self, outputs, batch):
            return {"loss": outputs["y"].std() if len(outputs["y"]) > 1 else 1 / 0}

    assert [row.loss for row in replayed(([[1, 1], [4, 4]], [0, 1]), objective=Contrast()).rows] == [None, None]


def test_nothing_is_trained_and_no_hook_stays():
    model = Root()
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    replayed(([[1, 4]], [0]), model=model)
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in model.state_dict().items())
    assert not model.first._forward_post_hooks and not model._forward_post_hooks
    assert all(parameter.grad is None or not parameter.grad.numpy().any() for parameter in model.parameters())


def test_a_relu_that_hides_nan_from_the_loss_but_not_from_the_gradients():
    """On a CPU Paddle's relu makes zero of NaN; a GPU keeps it, and then the loss tells."""

    class Hidden(Root):
        def forward(self, batch):
            return {"y": self.last(nn.functional.relu(self.root(self.first(batch["x"]))))[:, 0]}

    found = replayed(([[1, 4], [-1, 1], [4, 1]], [7, 8, 9]), model=Hidden())
    assert not found.finite and np.isnan(found.gradients["first.weight"]) and np.isfinite(found.terms["loss"])
    assert [(row.row, row.layer) for row in found.rows if row.suspicious] == [(8, "root")]
