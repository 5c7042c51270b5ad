"""Cross entropy against its equation in NumPy and scikit-learn's log loss and class weights."""

import math

import numpy as np
import paddle
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from ppmm.objectives.bce import BinaryCrossEntropy
from ppmm.objectives.cross_entropy import CrossEntropy, balanced_weights

LABELS = np.array([0, 2, 1, 2, 2, 0])
LOGITS = np.random.default_rng(0).normal(size=(6, 3)).astype("float32") * 3


def loss(objective, logits=LOGITS, labels=LABELS):
    return float(objective({"logits": paddle.to_tensor(logits)}, {"y": paddle.to_tensor(labels)})["loss"])


def softmax(x):
    power = np.exp(x - x.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


def equation(smoothing, weights):
    """L = sum_i w_{y_i} H(q_i, p_i) / sum_i w_{y_i}, straight from the docstring."""
    targets = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
    entropies = -(targets * np.log(softmax(LOGITS.astype(float)))).sum(-1)
    weights = np.asarray(weights)[LABELS]
    return (weights * entropies).sum() / weights.sum()


def test_by_hand():
    objective = CrossEntropy("y")
    # softmax([0, ln 3]) = [1/4, 3/4]
    assert loss(objective, np.array([[0, math.log(3)]], "float32"), np.array([0])) == pytest.approx(
        math.log(4), rel=1e-6
    )
    assert loss(objective, np.zeros((5, 8), "float32"), np.arange(5)) == pytest.approx(math.log(8), rel=1e-6)


def test_equals_log_loss():
    assert loss(CrossEntropy("y")) == pytest.approx(log_loss(LABELS, softmax(LOGITS.astype(float))), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 1.0], [0.2, 3.0, 1.5], [0.0, 0.0, 2.0]])
def test_equation(smoothing, weights):
    objective = CrossEntropy("y", label_smoothing=smoothing, class_weights=weights)
    assert loss(objective) == pytest.approx(equation(smoothing, weights or [1, 1, 1]), rel=1e-5)


def test_balanced_weights_equal_scikit_learn():
    counts = np.bincount(LABELS)
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    assert balanced_weights(counts.tolist()) == pytest.approx(wanted)
    objective = CrossEntropy("y", class_weights="balanced", class_counts={"y": counts.tolist()})
    assert loss(objective) == pytest.approx(equation(0, wanted), rel=1e-5)
    assert balanced_weights([3, 0, 1]) == pytest.approx([4 / 9, 0, 4 / 3])


def test_rows_without_weight_give_zero_not_nan():
    objective = CrossEntropy("y", class_weights=[0.0, 1.0, 1.0])
    assert loss(objective, LOGITS[:1], LABELS[:1]) == 0


def test_gradient_is_the_mean_of_softmax_minus_target():
    logits = paddle.to_tensor(LOGITS, stop_gradient=False)
    CrossEntropy("y", label_smoothing=0.2)({"logits": logits}, {"y": paddle.to_tensor(LABELS)})["loss"].backward()
    wanted = (softmax(LOGITS.astype(float)) - (0.8 * np.eye(3)[LABELS] + 0.2 / 3)) / len(LABELS)
    np.testing.assert_allclose(logits.grad.numpy(), wanted, atol=1e-6)


def test_other_names():
    objective = CrossEntropy("left", logits="left_logits")
    outputs = {"logits": paddle.zeros([1, 2]), "left_logits": paddle.to_tensor([[0.0, math.log(3)]])}
    found = objective(outputs, {"y": paddle.to_tensor([1]), "left": paddle.to_tensor([0])})
    assert float(found["loss"]) == pytest.approx(math.log(4), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"class_weights": "balanced"}, "class counts"),
        ({"class_weights": "balanced", "class_counts": {"z": [1]}}, "class counts"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CrossEntropy("y", **arguments)


def test_wrong_number_of_weights():
    with pytest.raises(ValueError, match="2 weights for 3 classes"):
        loss(CrossEntropy("y", class_weights=[1.0, 2.0]))


SOFT_LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], "float32")


def test_distributions_instead_of_labels():
    soft = np.array([[0.7, 0.3, 0.0], [0.0, 0.25, 0.75]])
    log_p = SOFT_LOGITS - np.log(np.exp(SOFT_LOGITS).sum(axis=1, keepdims=True))
    batch = {"y": paddle.to_tensor([0, 2]), "soft_y": paddle.to_tensor(soft.astype("float32"))}
    outputs = {"logits": paddle.to_tensor(SOFT_LOGITS)}
    smooth = 0.9 * soft + 0.1 / 3
    wanted = -(smooth * log_p).sum(axis=1)
    found = CrossEntropy("y", label_smoothing=0.1)(outputs, batch)["loss"]
    np.testing.assert_allclose(float(found), wanted.mean(), rtol=1e-5)
    weights = soft @ [1.0, 2.0, 4.0]  # 1.3 and 3.5
    found = CrossEntropy("y", label_smoothing=0.1, class_weights=[1.0, 2.0, 4.0])(outputs, batch)["loss"]
    np.testing.assert_allclose(float(found), (weights * wanted).sum() / weights.sum(), rtol=1e-5)


def test_a_distribution_that_is_certain_equals_its_label():
    outputs = {"logits": paddle.to_tensor(SOFT_LOGITS)}
    labels = {"y": paddle.to_tensor([0, 2])}
    certain = {**labels, "soft_y": paddle.to_tensor(np.eye(3, dtype="float32")[[0, 2]])}
    for objective in (CrossEntropy("y"), CrossEntropy("y", 0.2, [1.0, 0.0, 3.0])):
        np.testing.assert_allclose(
            float(objective(outputs, certain)["loss"]), float(objective(outputs, labels)["loss"])
        )


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_cannot_be(weight):
    with pytest.raises(ValueError, match="class_weights must not be negative"):
        CrossEntropy("label", class_weights=[1.0, weight])
    with pytest.raises(ValueError, match="pos_weight must not be negative"):
        BinaryCrossEntropy("label", pos_weight=[1.0, weight])
