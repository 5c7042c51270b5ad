"""Low-rank tensor fusion equals a full tensor of weights applied to the outer product."""

import numpy as np
import pytest

from ppmm.models.fusion.low_rank import LowRankFusion
from tests.models.fusion.numpy_parts import DIMS, array, assert_equation, layer_norm, make

RANK, DIM = 2, 3


def factors(fusion, field):
    """W_k^r with the appended one's row: [rank,D_k+1,dim]."""
    layer = fusion.factors[field]
    rows = np.vstack([array(layer.weight), array(layer.bias)])
    return rows.reshape(-1, RANK, DIM).transpose(1, 0, 2)


def test_equation_with_the_full_tensor():
    fusion = make(LowRankFusion, dim=DIM, rank=RANK)
    weights = array(fusion.weights)[:, 0]
    tensor = np.einsum("r,rid,rjd,rkd->ijkd", weights, *(factors(fusion, field) for field in DIMS))

    def equation(row):
        image, audio, text = (
            np.append(layer_norm(row[field][0], fusion.norms[field]) if field in row else np.zeros(size), 1.0)
            for field, size in DIMS.items()
        )
        return np.einsum("i,j,k,ijkd->d", image, audio, text, tensor) + array(fusion.bias)

    assert_equation(fusion, equation)


def test_an_absent_field_is_a_neutral_factor_at_first():
    fusion = LowRankFusion(DIMS, dim=DIM, rank=RANK)
    assert all((factor.bias.numpy() == 1).all() for factor in fusion.factors.values())
    with pytest.raises(ValueError, match="rank"):
        LowRankFusion(DIMS, rank=0)
