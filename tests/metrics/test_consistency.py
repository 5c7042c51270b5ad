"""Groups that are right throughout, by hand."""

import numpy as np
import paddle
import pytest

from ppmm.metrics.consistency import Consistency

ANSWERS = np.eye(2, dtype="float32")


def test_by_hand_across_batches():
    """Group 7: right, right; group 8: right, wrong; group 9: wrong, right; group -3: right."""
    metric = Consistency("y", "group")
    rows = [(7, 1, 1), (8, 0, 0), (9, 0, 1), (7, 0, 0), (8, 1, 0), (9, 1, 1), (-3, 1, 1)]
    for part in (rows[:2], rows[2:6], rows[6:]):
        groups, labels, answers = (np.array(column) for column in zip(*part, strict=True))
        metric.update(
            {"logits": paddle.to_tensor(ANSWERS[answers])},
            {"y": paddle.to_tensor(labels), "group": paddle.to_tensor(groups)},
        )
    assert metric.compute() == {"consistency": pytest.approx(2 / 4)}
    assert metric.details() == {"consistency": {"group": "group", "groups": 4, "right": 2}}


def test_no_rows():
    assert np.isnan(Consistency("y", "group").compute()["consistency"])
