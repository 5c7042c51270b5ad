"""Attributes as a target."""

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.attributes import Attributes


def test_zeros_and_ones_become_an_array():
    given = Attributes(3)([1, 0, True])
    assert given.dtype == np.float32 and given.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("value", [[1, 0], [1, 0, 2], [0, 1, float("nan")], ["a", "b", "c"], None, "101", [[1, 0, 1]]])
def test_everything_else_is_refused(value):
    with pytest.raises(DataError, match="attributes must be"):
        Attributes(3)(value)


def test_a_size_below_one_is_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        Attributes(0)
