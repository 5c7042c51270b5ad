"""The numeric field."""

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.numeric import NumericField


@pytest.mark.parametrize(
    "value", [[1, 2.5, -3], (1, 2.5, -3), np.array([1, 2.5, -3]), "1 2.5 -3", " 1,2.5, -3", ["1", "2.5", "-3"]]
)
def test_vectors(value):
    found = NumericField(3)(value)
    assert found.tolist() == [1.0, 2.5, -3.0] and found.dtype == np.float32


@pytest.mark.parametrize("value", [7, 7.0, "7", [7], np.float64(7)])
def test_one_number(value):
    assert NumericField(1)(value).tolist() == [7.0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], r"expected 3 numbers, found an array of shape \[2\]"),
        ([[1, 2, 3]], r"\[1, 3\]"),
        ([1, 2, float("nan")], "finite"),
        ([1, 2, 1e39], "fit into 32 bits"),
        ("1 2 inf", "finite"),
        ("1 2 x", "could not convert"),
        ("", "shape"),
        (None, "NoneType"),
        ([1, [2], 3], "expected 3"),
        ([True, False, True], "no numbers"),
        ({"a": 1}, "dict"),
        ([1, 2, 10**400], "expected 3 numbers"),
    ],
)
def test_wrong_values(value, message):
    with pytest.raises(DataError, match=message):
        NumericField(3)(value)


def test_batch_matches_specs():
    field = NumericField(2)
    batch = field.collate("sensor", [field([1, 2]), None])
    assert batch["sensor"].tolist() == [[1, 2], [0, 0]] and batch["has_sensor"].tolist() == [True, False]
    assert field.specs("sensor") == {"sensor": ((None, 2), "float32"), "has_sensor": ((None,), "bool")}
    assert field.provides() == {"in_features": 2}


def test_wrong_size():
    with pytest.raises(ConfigError):
        NumericField(0)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1,,3", [1, None, 3]),
        (",2,", [None, 2, None]),
        (" , , 3", [None, None, 3]),
        ("1, nan, 3", [1, None, 3]),
        ("1 NaN 3", [1, None, 3]),
        ([1, None, 3], [1, None, 3]),
        (["1", "", "3"], [1, None, 3]),
        ((1, float("nan"), 3), [1, None, 3]),
        (np.array([1, np.nan, 3]), [1, None, 3]),
        ([None, None, None], [None] * 3),
        ("1 2 3", [1, 2, 3]),
    ],
)
def test_missing_numbers(value, wanted):
    found = NumericField(3, missing=True)(value)
    assert [None if np.isnan(number) else number for number in found] == wanted and found.dtype == np.float32


@pytest.mark.parametrize("value", ["1,2", "1 2", "1,2,inf", "1,2,x", [1, 2, 1e39], None, "", [1, [None], 3], {"a": 1}])
def test_what_is_wrong_stays_wrong_where_numbers_may_be_missing(value):
    with pytest.raises(DataError):
        NumericField(3, missing=True)(value)


@pytest.mark.parametrize("value", ["1,,3", [1, None, 3], [1, float("nan"), 3]])
def test_missing_numbers_must_be_allowed(value):
    with pytest.raises(DataError):
        NumericField(3)(value)


def test_missing_numbers_in_a_batch():
    field = NumericField(2, missing=True)
    batch = field.collate("sensor", [field("1,"), None])
    np.testing.assert_array_equal(batch["sensor"], [[1, np.nan], [0, 0]])
    assert batch["has_sensor"].tolist() == [True, False]
    assert field.provides() == {"in_features": 2, "missing": True}
