"""Evaluation: figures by hand, nothing trained on the way."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.evaluator import evaluate
from ppmm.metrics.accuracy import Accuracy
from ppmm.metrics.confusion import ConfusionMatrix
from ppmm.objectives.cross_entropy import CrossEntropy


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm1D(2), nn.Dropout(0.9)

    def forward(self, batch):
        return {"logits": self.dropout(self.norm(batch["x"]))}


X = np.array([[0, 0], [0, np.log(3)], [np.log(3), 0]], "float32")
LABELS = np.array([0, 0, 0])


def batches(sizes=(1, 2)):
    start = 0
    for size in sizes:
        rows = slice(start, start + size)
        yield {
            "x": paddle.to_tensor(X[rows]),
            "y": paddle.to_tensor(LABELS[rows]),
            "index": paddle.arange(start, start + size),
        }
        start += size


def net():
    model = Net()
    model.norm._epsilon = 0.0
    return model


def test_figures_by_hand():
    """The loss is a mean over rows, not over batches: losses ln 2, ln 4, ln 4/3."""
    model = net()
    metrics = [Accuracy("y"), ConfusionMatrix("y", labels={"y": ["a", "b"]})]
    metrics[0].update({"logits": np.zeros((5, 2))}, {"y": np.ones(5, int)})  # left from before: to be forgotten
    seen = []
    result = evaluate(model, batches(), metrics, CrossEntropy("y"), lambda b, o: seen.append(b["index"].tolist()))
    assert result.rows == 3 and seen == [[0], [1, 2]]
    wanted = (np.log(2) + np.log(4) + np.log(4 / 3)) / 3
    assert result.figures == pytest.approx({"loss": wanted, "accuracy": 2 / 3}, rel=1e-5)
    assert result.details["confusion_matrix"]["counts"] == [[2, 1], [0, 0]]


def test_without_objective_there_is_no_loss():
    assert set(evaluate(net(), batches(), [Accuracy("y")]).figures) == {"accuracy"}


def test_no_rows():
    result = evaluate(net(), [], [Accuracy("y")], CrossEntropy("y"))
    assert result.rows == 0 and set(result.figures) == {"accuracy"} and np.isnan(result.figures["accuracy"])


def test_model_is_not_changed_and_no_graph_is_kept():
    model = net()
    model.train()
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    kept = []
    evaluate(model, batches(), [], on_batch=lambda batch, outputs: kept.append(outputs["logits"].stop_gradient))
    assert kept == [True, True]
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in model.state_dict().items())


def test_on_batch_may_stop_it():
    def stop(batch, outputs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(net(), batches(), [], on_batch=stop)
