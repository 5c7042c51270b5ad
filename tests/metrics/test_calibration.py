"""Expected calibration error by hand and against a plain loop."""

import numpy as np
import paddle
import pytest
from scipy.special import softmax

from ppmm.metrics.calibration import CalibrationError


def logits_for(confidences):
    """Two classes; the first has the given probability."""
    p = np.array(confidences)
    return np.log(np.stack([p, 1 - p], axis=1)).astype("float32")


def test_by_hand():
    """Bin 0.8-1: confidences 0.9 0.9, one right: |0.5 - 0.9|; bin 0.6-0.8: 0.7, right: |1 - 0.7|; weights 2/3, 1/3."""
    metric = CalibrationError("y", bins=5)
    metric.update({"logits": logits_for([0.9, 0.7])}, {"y": np.array([0, 0])})
    metric.update({"logits": paddle.to_tensor(logits_for([0.9]))}, {"y": paddle.to_tensor([1])})
    assert metric.compute() == {"ece": pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.3, rel=1e-6)}
    bins = metric.details()["reliability"]["bins"]
    assert [row["rows"] for row in bins] == [0, 0, 0, 1, 2] and bins[0]["accuracy"] is None
    assert bins[4] == {"from": 0.8, "to": 1.0, "rows": 2, "confidence": pytest.approx(0.9), "accuracy": 0.5}


def test_against_a_plain_loop():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(400, 6)) * 2, rng.integers(0, 6, size=400)
    p = softmax(logits, axis=1)
    sure, right = p.max(axis=1), p.argmax(axis=1) == labels
    wanted = 0.0
    for number in range(15):
        rows = (sure > number / 15) & (sure <= (number + 1) / 15)
        if rows.any():
            wanted += rows.mean() * abs(right[rows].mean() - sure[rows].mean())
    metric = CalibrationError("y")
    metric.update({"logits": logits}, {"y": labels})
    assert metric.compute()["ece"] == pytest.approx(wanted)


def test_bins_are_open_below_and_hold_everything():
    metric = CalibrationError("y", bins=2)
    metric.update({"logits": np.array([[0.0, 0.0], [900.0, 0.0]])}, {"y": np.array([0, 0])})
    assert [row["rows"] for row in metric.details()["reliability"]["bins"]] == [1, 1]


def test_the_order_of_batches_changes_no_digit():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(200, 3)), rng.integers(0, 3, size=200)
    found = []
    for order in (np.arange(200), rng.permutation(200)):
        metric = CalibrationError("y")
        for rows in np.array_split(order, 7):
            metric.update({"logits": logits[rows]}, {"y": labels[rows]})
        found.append((metric.compute(), metric.details()))
    assert found[0] == found[1]


def test_no_rows_and_no_bins():
    assert np.isnan(CalibrationError("y").compute()["ece"])
    with pytest.raises(ValueError, match="bins must be at least 1"):
        CalibrationError("y", bins=0)
