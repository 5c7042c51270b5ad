"""Binary cross entropy by hand."""

import math

import numpy as np
import paddle
import pytest

from ppmm.errors import ConfigError
from ppmm.objectives.bce import BinaryCrossEntropy

LOGITS = [[0.0, math.log(3)], [-math.log(4), 2.0]]  # p: 1/2, 3/4; 1/5, s(2)
LABELS = [[1.0, 0.0], [0.0, 1.0]]
S2 = 1 / (1 + math.exp(-2))


def loss_of(objective, logits=LOGITS):
    tensor = paddle.to_tensor(logits, dtype="float32", stop_gradient=False)
    loss = objective({"logits": tensor}, {"tags": paddle.to_tensor(LABELS)})["loss"]
    loss.backward()
    return float(loss), tensor.grad.numpy()


def test_by_hand():
    loss, gradient = loss_of(BinaryCrossEntropy("tags"))
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.25) + math.log(0.8) + math.log(S2)) / 4, rel=1e-6)
    np.testing.assert_allclose(gradient, np.array([[0.5 - 1, 0.75], [0.2, S2 - 1]]) / 4, atol=1e-6)


def test_positive_labels_weigh_more():
    loss, _ = loss_of(BinaryCrossEntropy("tags", pos_weight=[3.0, 5.0]))
    assert loss == pytest.approx(-(3 * math.log(0.5) + math.log(0.25) + math.log(0.8) + 5 * math.log(S2)) / 4, rel=1e-6)
    counts = {"class_counts": {"tags": [5, 0]}, "train_rows": 20}
    assert BinaryCrossEntropy("tags", pos_weight="balanced", **counts).pos_weight == [3.0, 1.0]


def test_easy_ones_count_less():
    loss, gradient = loss_of(BinaryCrossEntropy("tags", gamma=2.0))
    terms = [(0.5, 0.5), (0.25, 0.75), (0.8, 0.2), (S2, 1 - S2)]  # probability of what is true, and its rest
    assert loss == pytest.approx(-sum(rest**2 * math.log(p) for p, rest in terms) / 4, rel=1e-5)
    step = np.array([[1e-2, 0], [0, 0]])
    ahead, behind = (loss_of(BinaryCrossEntropy("tags", gamma=2.0), LOGITS + sign * step)[0] for sign in (1, -1))
    assert gradient[0, 0] == pytest.approx((ahead - behind) / 2e-2, rel=1e-3)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_huge_logits_are_finite(gamma):
    for size in (60.0, 1e4):
        loss, gradient = loss_of(BinaryCrossEntropy("tags", gamma=gamma), [[size, size], [-size, -size]])
        assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="needs the class counts"):
        BinaryCrossEntropy("tags", pos_weight="balanced")
    with pytest.raises(ConfigError, match="pos_weight has 1 weights for 2 classes"):
        loss_of(BinaryCrossEntropy("tags", pos_weight=[1.0]))
    with pytest.raises(ConfigError, match=r"logits is \[2, 3\], but tags is \[2, 2\]"):
        loss_of(BinaryCrossEntropy("tags"), np.zeros((2, 3)))
