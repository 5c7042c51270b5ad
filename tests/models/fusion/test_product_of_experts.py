"""Product of experts: the product of Gaussian densities by hand, and its sampling."""

import numpy as np
import paddle
import pytest

from ppmm.models.fusion.product_of_experts import ProductOfExpertsFusion
from tests.models.fusion.numpy_parts import assert_equation, case, layer_norm, linear, make


def gaussians(fusion, row):
    """(mean, variance) of each present field, after that of the prior."""
    found = [(0.0, 1.0)]
    for field, (pooled, _) in row.items():
        embed = layer_norm(pooled, fusion.norms[field])
        variance = np.exp(np.clip(linear(embed, fusion.log_variances[field]), -8, 8))
        found.append((linear(embed, fusion.means[field]), variance))
    return found


def test_equation():
    fusion = make(ProductOfExpertsFusion, dim=5)

    def equation(row):
        experts = gaussians(fusion, row)
        precision = sum(1 / variance for _, variance in experts)
        return sum(mean / variance for mean, variance in experts) / precision

    assert_equation(fusion, equation)


def test_it_is_where_the_product_of_the_densities_peaks():
    fusion = make(ProductOfExpertsFusion, dim=1)
    encoded, present, rows = case()
    found = fusion(encoded, present).numpy()[:, 0]
    grid = np.linspace(-20, 20, 400001)
    for number, row in enumerate(rows):
        log_density = sum(-((grid - mean) ** 2) / (2 * variance) for mean, variance in gaussians(fusion, row))
        assert found[number] == pytest.approx(grid[np.argmax(log_density)], abs=1e-3)


def test_two_experts_by_hand():
    """N(3, 1/2) with the prior N(0, 1): precision 3, mean 2 * 3 / 3."""
    fusion = make(ProductOfExpertsFusion, {"image": 2}, dim=1)
    for layer, value in ((fusion.means["image"], 3.0), (fusion.log_variances["image"], -np.log(2.0))):
        layer.weight.set_value(paddle.zeros([2, 1]))
        layer.bias.set_value(paddle.to_tensor([value], dtype="float32"))
    encoded = {"image": case()[0]["image"]._replace(pooled=paddle.ones([2, 2]))}
    found = fusion(encoded, {"image": paddle.to_tensor([True, False])})
    np.testing.assert_allclose(found.numpy(), [[2.0], [0.0]], atol=1e-6)


def test_samples_have_the_variance_of_the_product():
    fusion = make(ProductOfExpertsFusion, dim=4000, sample=True, dropout=0.0)
    encoded, present, rows = case()
    mean = fusion(encoded, present).numpy()
    assert np.array_equal(fusion(encoded, present).numpy(), mean), "evaluation does not sample"
    fusion.train()
    paddle.seed(0)
    drawn = fusion(encoded, present).numpy()
    for number, row in enumerate(rows):
        deviation = np.sqrt(1 / sum(1 / variance for _, variance in gaussians(fusion, row)))
        assert ((drawn - mean)[number] / deviation).std() == pytest.approx(1, abs=0.06)
