"""Bottleneck tokens in NumPy, one row at a time with its own tokens only."""

import numpy as np
import pytest

from ppmm.models.fusion.bottleneck import BottleneckFusion
from tests.models.fusion.numpy_parts import DIMS, array, assert_equation, layer_norm, make, self_block, sequence


@pytest.mark.parametrize("layers", [2, 3])
def test_equation(layers):
    fusion = make(BottleneckFusion, dim=4, heads=2, layers=layers, bottlenecks=2)

    def equation(row):
        tokens = {field: sequence(fusion.projections, field, *row[field]) for field in row}
        bottleneck = array(fusion.bottleneck)[0]
        for blocks in fusion.layers:
            both = {field: self_block(np.vstack([bottleneck, steps]), blocks[field]) for field, steps in tokens.items()}
            tokens = {field: steps[2:] for field, steps in both.items()}
            bottleneck = np.mean([steps[:2] for steps in both.values()], axis=0)
        return np.mean([layer_norm(steps[0], fusion.norms[field]) for field, steps in tokens.items()], axis=0)

    assert_equation(fusion, equation)


@pytest.mark.parametrize("arguments", [{"layers": 1}, {"bottlenecks": 0}])
def test_too_few_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        BottleneckFusion(DIMS, **arguments)
