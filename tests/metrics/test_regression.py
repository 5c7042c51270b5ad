"""MAE, RMSE and R2 against scikit-learn and by hand."""

import numpy as np
import paddle
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from ppmm.errors import DataError
from ppmm.metrics.regression import Regression


def measured(predicted, wanted, parts=1):
    metric = Regression("y")
    for rows in np.array_split(np.arange(len(wanted)), parts):
        metric.update({"logits": paddle.to_tensor(predicted[rows])}, {"y": paddle.to_tensor(wanted[rows])})
    return metric.compute()


def test_by_hand():
    figures = measured(np.array([[1.0], [2.0], [5.0]]), np.array([1.0, 2.0, 3.0]))
    assert figures == pytest.approx({"mae": 2 / 3, "rmse": (4 / 3) ** 0.5, "r2": 1 - 4 / 2})


@pytest.mark.parametrize("parts", [1, 4, 30])
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_against_scikit_learn(parts, mean):
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=60) + mean
    predicted = wanted + rng.normal(size=60) * 0.5
    figures = measured(predicted, wanted, parts)
    assert figures["mae"] == pytest.approx(mean_absolute_error(wanted, predicted), rel=1e-9)
    assert figures["rmse"] == pytest.approx(mean_squared_error(wanted, predicted) ** 0.5, rel=1e-9)
    assert figures["r2"] == pytest.approx(r2_score(wanted, predicted), rel=1e-8)


@pytest.mark.parametrize("predicted", [[2.0, 2.0], [2.0, 3.0]])
def test_equal_targets_are_as_in_scikit_learn(predicted):
    wanted = np.array([2.0, 2.0])
    assert measured(np.array(predicted), wanted)["r2"] == r2_score(wanted, predicted)


def test_one_row_and_no_row():
    assert np.isnan(measured(np.array([1.0]), np.array([2.0]))["r2"])
    assert all(np.isnan(value) for value in Regression("y").compute().values())


def test_several_numbers_per_row_are_refused():
    with pytest.raises(DataError, match=r"logits is \[4, 3\]"):
        Regression("y").update({"logits": np.zeros((4, 3))}, {"y": np.zeros(4)})
