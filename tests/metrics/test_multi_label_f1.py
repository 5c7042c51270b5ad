"""F1 of rows with several labels against scikit-learn."""

import numpy as np
import paddle
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from ppmm.errors import DataError
from ppmm.metrics.multi_label_f1 import MultiLabelF1

NAMES = {"y": ["cat", "dog", "eel", "fox", "gnu"]}
RNG = np.random.default_rng(0)


def case():
    """The last label never occurs, the one before is never given."""
    tags, logits = RNG.random((50, 5)) < 0.4, RNG.normal(size=(50, 5)).astype("float32")
    tags[:, 4] = False
    logits[:, 3:] = -1
    return tags.astype("float32"), logits


def test_against_scikit_learn():
    tags, logits = case()
    metric = MultiLabelF1("y", labels=NAMES)
    for rows in np.array_split(np.arange(50), 3):
        metric.update({"logits": paddle.to_tensor(logits[rows])}, {"y": paddle.to_tensor(tags[rows])})
    assert metric.compute() == pytest.approx(
        {
            "micro_f1": f1_score(tags, logits > 0, average="micro"),
            "macro_f1": f1_score(tags, logits > 0, average="macro", zero_division=np.nan),
            "exact_match": accuracy_score(tags, logits > 0),
        }
    )
    wanted = precision_recall_fscore_support(tags, logits > 0, zero_division=0)
    report = metric.details()["class_report"]["classes"]
    for number, name in enumerate(NAMES["y"]):
        row = report[name]
        assert [row["precision"], row["recall"], row["f1"], row["rows"]] == pytest.approx(
            [part[number] for part in wanted]
        )


def test_by_hand_with_a_threshold():
    metric = MultiLabelF1("y", threshold=1.0, labels={"y": ["a", "b"]})
    metric.update({"logits": np.array([[2.0, 0.5], [2.0, 3.0]])}, {"y": np.array([[1, 0], [0, 1]])})
    assert metric.compute() == pytest.approx({"micro_f1": 2 * 2 / 5, "macro_f1": (2 / 3 + 1) / 2, "exact_match": 0.5})


def test_thresholds_of_the_target_are_probabilities():
    """sigmoid(-ln 3) = 1/4: given at a threshold of 0.2, not at 0.3; a threshold of its own in logits goes before."""
    logits, truth = np.array([[-np.log(3), -np.log(3)]]), np.array([[1, 1]])
    known = {"labels": {"y": ["a", "b"]}, "thresholds": {"y": [0.2, 0.3]}}
    for more, right in (({}, [1, 0]), ({"threshold": -2.0}, [1, 1]), ({"threshold": 0.0}, [0, 0])):
        metric = MultiLabelF1("y", **known, **more)
        metric.update({"logits": logits}, {"y": truth})
        assert [row["recall"] for row in metric.details()["class_report"]["classes"].values()] == right


def test_no_rows_and_other_shapes():
    metric = MultiLabelF1("y", labels=NAMES)
    assert all(np.isnan(value) for value in metric.compute().values())
    with pytest.raises(DataError, match=r"must both be \[rows, 5\]"):
        metric.update({"logits": np.zeros((3, 5))}, {"y": np.zeros(3)})
    with pytest.raises(ValueError, match="'y'"):
        MultiLabelF1("y", labels={})
