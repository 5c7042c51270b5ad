"""Sum and mean fusion: their equation in NumPy."""

import numpy as np
import pytest

from ppmm.models.fusion.sum_mean import SumMeanFusion
from tests.models.fusion.numpy_parts import assert_equation, make, projected


@pytest.mark.parametrize("mean", [False, True])
def test_equation(mean):
    fusion = make(SumMeanFusion, dim=5, mean=mean)

    def equation(row):
        values = [projected(fusion.projections, field, pooled) for field, (pooled, _) in row.items()]
        return np.mean(values, axis=0) if mean else np.sum(values, axis=0)

    assert_equation(fusion, equation)
