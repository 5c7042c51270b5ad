"""Co-attention in NumPy, one row at a time with its own tokens only."""

import numpy as np
import pytest

from ppmm.models.fusion.cross_attention import CrossAttentionFusion
from tests.models.fusion.numpy_parts import DIMS, assert_equation, cross_block, layer_norm, make, sequence


@pytest.mark.parametrize("layers", [1, 2])
def test_equation(layers):
    fusion = make(CrossAttentionFusion, dim=4, heads=2, layers=layers)

    def equation(row):
        tokens = {field: sequence(fusion.projections, field, *row[field]) for field in row}
        for blocks in fusion.layers:
            tokens = {
                field: cross_block(
                    steps, np.vstack([np.zeros((0, 4)), *(tokens[o] for o in row if o != field)]), blocks[field]
                )
                for field, steps in tokens.items()
            }
        return np.mean([layer_norm(steps[0], fusion.norms[field]) for field, steps in tokens.items()], axis=0)

    assert_equation(fusion, equation)


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="layers"):
        CrossAttentionFusion(DIMS, layers=0)
