"""Positions by the published formula."""

import math

import numpy as np
import paddle
import pytest

from ppmm.models.layers.sinusoidal_positions import SinusoidalPositions


def test_by_the_formula():
    found = SinusoidalPositions(6)(paddle.ones([2, 50, 6])).numpy()
    for place in (0, 1, 7, 49):
        rates = [10000 ** (-2 * i / 6) for i in range(3)]
        wanted = [1 + math.sin(place * rate) for rate in rates] + [1 + math.cos(place * rate) for rate in rates]
        for row in found:
            np.testing.assert_allclose(row[place], wanted, atol=1e-5)


def test_table_of_a_grid_and_no_parameters():
    layer = SinusoidalPositions(4)
    assert layer.table(paddle.zeros([3, 5, 4])).shape == [1, 5, 4]
    assert not layer.parameters() and not layer.state_dict()
    with pytest.raises(ValueError, match="even"):
        SinusoidalPositions(5)
