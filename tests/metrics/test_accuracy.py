"""Accuracy and top-k against scikit-learn."""

import numpy as np
import paddle
import pytest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from ppmm.metrics.accuracy import Accuracy, TopK

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 6, size=40)
LOGITS = RNG.normal(size=(40, 6)).astype("float32")


def measure(metric, logits=LOGITS, labels=LABELS, size=7):
    metric.reset()
    for start in range(0, len(labels), size):
        cut = slice(start, start + size)
        metric.update({"logits": paddle.to_tensor(logits[cut])}, {"y": paddle.to_tensor(labels[cut])})
    return metric.compute()


def test_accuracy():
    assert measure(Accuracy("y")) == {"accuracy": pytest.approx(accuracy_score(LABELS, LOGITS.argmax(1)))}


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k(k):
    wanted = top_k_accuracy_score(LABELS, LOGITS, k=k, labels=np.arange(6))
    assert measure(TopK("y", k)) == {f"top{k}_accuracy": pytest.approx(wanted)}


def test_k_beyond_the_classes_is_always_right():
    assert measure(TopK("y", 9)) == {"top9_accuracy": 1.0}


def test_ties_go_to_the_smaller_class():
    logits = np.array([[1, 1, 0]] * 3, "float32")
    labels = np.array([0, 1, 2])
    assert measure(TopK("y", 1), logits, labels) == {"top1_accuracy": pytest.approx(1 / 3)}
    assert measure(TopK("y", 2), logits, labels) == {"top2_accuracy": pytest.approx(2 / 3)}


def test_ties_among_many_classes():
    """Any sorting is stable by chance where there are few."""
    logits = RNG.integers(0, 4, size=(300, 300)).astype("float32")
    labels = RNG.integers(0, 300, size=300)
    best = [sorted(range(300), key=lambda c, row=row: (-row[c], c))[:20] for row in logits]
    wanted = np.mean([label in ranked for label, ranked in zip(labels, best, strict=True)])
    assert measure(TopK("y", 20), logits, labels) == {"top20_accuracy": pytest.approx(wanted)}
    for label in range(0, 300, 7):
        hit = measure(TopK("y", 20), logits[:1], np.array([label]))["top20_accuracy"]
        assert hit == (label in best[0]), label


def test_not_a_number_is_never_the_best_answer():
    logits = np.array([[np.nan, 0.0, 1.0]], "float32")
    assert measure(Accuracy("y"), logits, np.array([2])) == {"accuracy": 1.0}


def test_column_labels_and_other_names():
    metric = Accuracy("left", logits="left_logits")
    metric.update({"left_logits": paddle.to_tensor(LOGITS)}, {"left": paddle.to_tensor(LABELS[:, None])})
    assert metric.compute()["accuracy"] == pytest.approx(accuracy_score(LABELS, LOGITS.argmax(1)))


def test_no_rows_is_not_a_number():
    assert np.isnan(Accuracy("y").compute()["accuracy"])


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1"):
        TopK("y", 0)
