"""The Gaussian kernel against scikit-learn, and its width."""

import numpy as np
import paddle
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from ppmm.models.layers.rbf_kernel import RBFKernel

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)).astype("float32"), RNG.normal(size=(5, 4)).astype("float32")


@pytest.mark.parametrize("width", [0.5, 1.0, 3.0])
def test_against_scikit_learn(width):
    found = RBFKernel(width)(paddle.to_tensor(X), paddle.to_tensor(Y)).numpy()
    np.testing.assert_allclose(found, rbf_kernel(X, Y, gamma=1 / (2 * width**2)), atol=1e-6)


def test_of_unit_vectors_it_is_the_cosine_with_a_temperature():
    x, y = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (X, Y))
    found = RBFKernel(0.7).log_similarity(paddle.to_tensor(x), paddle.to_tensor(y)).numpy()
    np.testing.assert_allclose(found, (x @ y.T - 1) / 0.7**2, atol=1e-5)


def test_it_is_a_kernel():
    gram = RBFKernel()(paddle.to_tensor(X), paddle.to_tensor(X)).numpy()
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-6)
    assert np.array_equal(gram.round(6), gram.T.round(6)) and np.linalg.eigvalsh(gram.astype(float)).min() > 0


def test_width_from_the_median_distance():
    kernel = RBFKernel()
    kernel.init_from(paddle.to_tensor([[0.0], [1.0], [3.0]]))  # distances 1, 2, 3
    np.testing.assert_allclose(np.exp(kernel.log_width.numpy()), [2], rtol=1e-6)
    for rows in ([[1.0], [1.0]], [[4.0]]):
        kernel.init_from(paddle.to_tensor(rows))
        np.testing.assert_allclose(np.exp(kernel.log_width.numpy()), [2], rtol=1e-6)


def test_the_width_learns():
    kernel = RBFKernel()
    kernel(paddle.to_tensor(X), paddle.to_tensor(Y)).sum().backward()
    assert kernel.log_width.grad.item() > 0
    with pytest.raises(ValueError, match="positive"):
        RBFKernel(0.0)
