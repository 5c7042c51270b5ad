"""Crossmodal Transformers in NumPy, one row at a time with its own tokens only."""

import numpy as np
import pytest

from ppmm.models.fusion.mult import MulTFusion
from tests.models.fusion.numpy_parts import (
    DIMS,
    assert_equation,
    cross_block,
    layer_norm,
    linear,
    make,
    relu,
    self_block,
    sequence,
)


def test_equation():
    fusion = make(MulTFusion, dim=4, heads=2, layers=2, memory_layers=1)

    def crossmodal(tokens, context, pair):
        for block in pair.blocks:
            tokens = cross_block(tokens, context, block)
        return layer_norm(tokens, pair.norm)

    def summary(row, field):
        if field not in row:
            return np.zeros(8)
        tokens = {name: sequence(fusion.projections, name, *row[name]) for name in row}
        sources = [tokens.get(other, np.zeros((0, 4))) for other in DIMS if other != field]
        pairs = fusion.pairs[field].values()
        steps = np.hstack([crossmodal(tokens[field], source, p) for source, p in zip(sources, pairs, strict=True)])
        for block in fusion.memories[field].blocks:
            steps = self_block(steps, block)
        return layer_norm(steps[0], fusion.memories[field].norm)

    def equation(row):
        return relu(linear(np.concatenate([summary(row, field) for field in DIMS]), fusion.project))

    assert_equation(fusion, equation)


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="layers"):
        MulTFusion(DIMS, layers=0)
