"""Tensor fusion: the outer product by einsum, and the limit of its size."""

import numpy as np
import pytest

from ppmm.models.fusion.tensor import TensorFusion
from tests.models.fusion.numpy_parts import DIMS, assert_equation, linear, make, projected, relu


def test_equation():
    fusion = make(TensorFusion, dim=5, factor_dim=3)

    def equation(row):
        image, audio, text = (
            np.append(projected(fusion.factors, field, row[field][0]) if field in row else np.zeros(3), 1.0)
            for field in DIMS
        )
        return relu(linear(np.einsum("i,j,k->ijk", image, audio, text).ravel(), fusion.project))

    assert fusion.project.weight.shape == [64, 5]
    assert_equation(fusion, equation)


def test_products_of_present_fields_remain():
    """[v; 1] x [0; 1]: v itself and the one, nothing else."""
    fusion = make(TensorFusion, {"image": 3, "text": 2}, dim=1, factor_dim=2)
    assert fusion.project.weight.shape == [9, 1]
    product = np.outer([5.0, 7.0, 1.0], [0.0, 0.0, 1.0]).ravel()
    assert product.tolist() == [0, 0, 5, 0, 0, 7, 0, 0, 1]


def test_too_large_a_product_is_refused():
    with pytest.raises(ValueError, match=r"1419857 entries.*low_rank"):
        TensorFusion(dict.fromkeys("abcde", 4))
