"""Confusion matrix, macro F1 and class report against scikit-learn."""

import numpy as np
import paddle
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from ppmm.metrics.confusion import ClassReport, ConfusionMatrix, MacroF1

NAMES = ["cat", "dog", "eel", "fox", "gnu"]
RNG = np.random.default_rng(0)


def case(seen, answered, rows=40):
    """Labels among ``seen`` and logits whose best class is among ``answered``."""
    labels = RNG.choice(seen, size=rows)
    logits = RNG.normal(size=(rows, 5)).astype("float32")
    logits[:, answered] += 10
    return labels, logits


CASES = [case([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]), case([0, 1, 3], [0, 1, 4]), case([2], [2]), case([2], [3])]


def measured(kind, labels, logits):
    metric = kind("y", labels={"y": NAMES, "other": ["a"]})
    for rows in np.array_split(np.arange(len(labels)), 3):
        metric.update({"logits": paddle.to_tensor(logits[rows])}, {"y": paddle.to_tensor(labels[rows])})
    return metric


@pytest.mark.parametrize(("labels", "logits"), CASES)
def test_confusion_matrix(labels, logits):
    metric = measured(ConfusionMatrix, labels, logits)
    table = metric.details()["confusion_matrix"]
    assert table["counts"] == confusion_matrix(labels, logits.argmax(1), labels=range(5)).tolist()
    assert table["labels"] == NAMES and table["target"] == "y" and metric.compute() == {}


def test_rows_are_truth_and_columns_are_answers():
    metric = measured(ConfusionMatrix, np.array([0, 0, 1]), np.eye(5, dtype="float32")[[3, 3, 1]])
    counts = metric.details()["confusion_matrix"]["counts"]
    assert counts[0] == [0, 0, 0, 2, 0] and counts[1] == [0, 1, 0, 0, 0] and counts[3] == [0] * 5


@pytest.mark.parametrize(("labels", "logits"), CASES)
def test_macro_f1(labels, logits):
    wanted = f1_score(labels, logits.argmax(1), average="macro", zero_division=0)
    assert measured(MacroF1, labels, logits).compute() == {"macro_f1": pytest.approx(wanted)}


@pytest.mark.parametrize(("labels", "logits"), CASES)
def test_class_report(labels, logits):
    wanted = precision_recall_fscore_support(labels, logits.argmax(1), labels=range(5), zero_division=0)
    report = measured(ClassReport, labels, logits).details()["class_report"]["classes"]
    for number, name in enumerate(NAMES):
        row = report[name]
        assert [row["precision"], row["recall"], row["f1"], row["rows"]] == pytest.approx(
            [part[number] for part in wanted]
        )


def test_no_rows_is_not_a_number():
    assert np.isnan(MacroF1("y", labels={"y": NAMES}).compute()["macro_f1"])


@pytest.mark.parametrize("labels", [None, {}, {"other": NAMES}])
def test_unknown_labels_are_refused(labels):
    with pytest.raises(ValueError, match="'y'"):
        ConfusionMatrix("y", labels=labels)
