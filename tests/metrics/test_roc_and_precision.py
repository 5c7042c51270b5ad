"""ROC-AUC, PR-AUC and mAP against scikit-learn and by hand."""

import numpy as np
import paddle
import pytest
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score

from ppmm.errors import DataError
from ppmm.metrics.average_precision import MeanAveragePrecision, PrAuc
from ppmm.metrics.class_scores import log_odds
from ppmm.metrics.roc_auc import RocAuc

RNG = np.random.default_rng(0)
NAMES = {"y": ["cat", "dog", "eel", "fox", "gnu"]}


def measured(kind, labels, logits, names=NAMES):
    metric = kind("y", labels=names)
    for rows in np.array_split(np.arange(len(labels)), 3):
        metric.update({"logits": paddle.to_tensor(logits[rows])}, {"y": paddle.to_tensor(labels[rows])})
    return metric


def logits_of(rows, classes, decimals=1):
    """Rounded, so that there are ties."""
    return RNG.normal(size=(rows, classes)).round(decimals).astype("float32")


def test_binary():
    labels, logits = RNG.integers(0, 2, size=90), logits_of(90, 2)
    scores = logits[:, 1] - logits[:, 0]
    assert measured(RocAuc, labels, logits).compute()["roc_auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert measured(PrAuc, labels, logits).compute()["pr_auc"] == pytest.approx(average_precision_score(labels, scores))
    assert list(measured(RocAuc, labels, logits).details()["roc_auc"]["classes"]) == ["dog"]


def test_one_class_against_the_rest():
    labels, logits = RNG.integers(0, 5, size=150), logits_of(150, 5, 6)
    probabilities = softmax(logits.astype(float), axis=1)
    wanted = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert measured(RocAuc, labels, logits).compute()["roc_auc"] == pytest.approx(wanted)
    wanted = average_precision_score(np.eye(5)[labels], probabilities, average="macro")
    assert measured(PrAuc, labels, logits).compute()["pr_auc"] == pytest.approx(wanted)


def test_several_labels():
    labels, logits = (RNG.random((80, 5)) < 0.3).astype("float32"), logits_of(80, 5)
    wanted = roc_auc_score(labels, logits, average="macro")
    assert measured(RocAuc, labels, logits).compute()["roc_auc"] == pytest.approx(wanted)
    wanted = average_precision_score(labels, logits, average="macro")
    metric = measured(MeanAveragePrecision, labels, logits)
    assert metric.compute() == {"mean_average_precision": pytest.approx(wanted)}
    each = metric.details()["mean_average_precision"]["classes"]
    assert list(each.values()) == pytest.approx(average_precision_score(labels, logits, average=None).tolist())


def test_by_hand():
    """Scores 4 3 2 1 of rows right, wrong, right, wrong: 3 of 4 pairs in order; precision 1 and 2/3."""
    logits = np.array([[0, 4], [0, 3], [0, 2], [0, 1]], "float32")
    labels = np.array([1, 0, 1, 0])
    assert measured(RocAuc, labels, logits).compute() == {"roc_auc": pytest.approx(0.75)}
    assert measured(PrAuc, labels, logits).compute() == {"pr_auc": pytest.approx((1 + 2 / 3) / 2)}
    curve = measured(RocAuc, labels, logits).details()["roc_auc"]["curves"]["dog"]
    assert curve == {"x": [0, 0, 0.5, 0.5, 1], "y": [0, 0.5, 0.5, 1, 1]}


def test_equal_scores_say_nothing():
    labels = np.array([1, 0, 1, 0, 0])
    assert measured(RocAuc, labels, np.zeros((5, 2), "float32")).compute() == {"roc_auc": 0.5}
    assert measured(PrAuc, labels, np.zeros((5, 2), "float32")).compute() == {"pr_auc": pytest.approx(0.4)}


def test_a_class_that_does_not_occur_is_left_out_and_shown():
    labels, logits = RNG.integers(0, 4, size=60), logits_of(60, 5, 6)
    metric = measured(RocAuc, labels, logits)
    areas = metric.details()["roc_auc"]["classes"]
    assert areas["gnu"] is None and metric.compute()["roc_auc"] == pytest.approx(
        np.mean([areas[name] for name in NAMES["y"][:4]])
    )


def test_confident_answers_are_still_told_apart():
    """Their probabilities are all 1.0 in float32 and float64."""
    logits = np.array([[0, 800, 0], [0, 700, 0], [0, 600, 0], [0, 500, 0]], "float32")
    assert measured(RocAuc, np.array([1, 1, 0, 0]), logits).details()["roc_auc"]["classes"]["dog"] == 1.0


def test_log_odds():
    logits = RNG.normal(size=(20, 4))
    p = softmax(logits, axis=1)
    np.testing.assert_allclose(log_odds(logits), np.log(p / (1 - p)), rtol=1e-9)
    assert np.isfinite(log_odds(np.array([[1e4, 0, -1e4]]))).all()


def test_not_a_number_ranks_last():
    logits = np.array([[0, np.nan], [0, -5], [0, 1]], "float32")
    assert measured(RocAuc, np.array([1, 0, 0]), logits).compute() == {"roc_auc": 0.0}


def test_curves_of_many_rows_are_thinned():
    curve = measured(PrAuc, RNG.integers(0, 2, size=3000), logits_of(3000, 2, 6)).details()["pr_auc"]["curves"]["dog"]
    assert len(curve["x"]) == 200 and curve["x"][0] == 0 and curve["x"][-1] == 1


def test_more_memory_than_allowed_is_refused():
    metric = RocAuc("y", memory_mb=1)
    with pytest.raises(DataError, match="memory_mb"):
        metric.update({"logits": np.zeros((140_000, 5), "float32")}, {"y": np.zeros(140_000, int)})


def test_a_target_of_another_shape_is_refused():
    with pytest.raises(DataError, match=r"y \[6, 2\] must be class ids \[6\]"):
        RocAuc("y").update({"logits": np.zeros((6, 5))}, {"y": np.zeros((6, 2))})


def test_more_rows_than_a_block():
    labels, logits = RNG.integers(0, 2, size=20_000), logits_of(20_000, 2, 3)
    scores = logits[:, 1] - logits[:, 0]
    assert measured(RocAuc, labels, logits).compute()["roc_auc"] == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize("kind", [RocAuc, PrAuc, MeanAveragePrecision])
def test_no_rows(kind):
    metric = kind("y")
    assert np.isnan(metric.compute()[kind.name]) and metric.details()[kind.name]["classes"] == {}
