"""Radial basis functions by hand, against SciPy, and their start from data."""

import math

import numpy as np
import paddle
import pytest
from scipy.spatial.distance import cdist

from ppmm.models.layers.rbf import RBF, nearest_distances, squared_distances


def layer(centres, widths):
    rbf = RBF(len(centres[0]), len(centres))
    rbf.centres.set_value(np.array(centres, "float32"))
    rbf.log_width.set_value(np.log(widths).astype("float32"))
    return rbf


def tensor(values):
    return paddle.to_tensor(np.asarray(values, "float32"))


def test_by_hand():
    rbf = layer([[0, 0], [3, 4]], [1, 5])
    found = rbf(tensor([[0, 0], [3, 4], [1, 1]])).numpy()
    wanted = [[1, math.exp(-0.5)], [math.exp(-12.5), 1], [math.exp(-1), math.exp(-13 / 50)]]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_against_scipy(offset):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(20, 7)) + offset).astype("float32")
    centres = (rng.normal(size=(5, 7)) + offset).astype("float32")
    widths = rng.uniform(0.5, 3, size=5)
    wanted = np.exp(-(cdist(x.astype(float), centres.astype(float)) ** 2) / (2 * widths**2))
    np.testing.assert_allclose(layer(centres, widths)(tensor(x)).numpy(), wanted, atol=1e-5)


def test_distances_are_never_negative():
    x = tensor(np.random.default_rng(1).normal(size=(50, 3)) * 1e-3 + 5)
    found = squared_distances(x, x).numpy()
    assert (found >= 0).all() and np.abs(np.diag(found)).max() < 1e-9
    np.testing.assert_allclose(found, cdist(x.numpy(), x.numpy()) ** 2, atol=1e-8)


def test_gradients_by_hand():
    # phi = exp(-|x-c|^2 / 2s^2): d/dc = phi (x-c) / s^2, d/dlog s = phi |x-c|^2 / s^2; here |x-c|^2 = 4, s = 2
    rbf = layer([[1, 0]], [2])
    rbf(tensor([[3, 0]])).sum().backward()
    phi = math.exp(-0.5)
    np.testing.assert_allclose(rbf.centres.grad.numpy(), [[phi * 2 / 4, 0]], atol=1e-6)
    np.testing.assert_allclose(rbf.log_width.grad.numpy(), [phi * 4 / 4], atol=1e-6)


def test_inputs_of_unit_variance_are_answered_before_any_start():
    paddle.seed(0)
    found = RBF(400, 30)(tensor(np.random.default_rng(2).normal(size=(50, 400)))).numpy()
    assert abs(np.log(found).mean() + 1) < 0.1


def blobs():
    rng = np.random.default_rng(3)
    middles = np.array([[0, 0], [10, 0], [0, 30]], float)
    return middles, np.concatenate([middle + rng.normal(size=(40, 2)) * 0.5 for middle in middles])


def test_start_from_data():
    _, rows = blobs()
    means = np.stack([rows[start : start + 40].mean(0) for start in (0, 40, 80)])
    rbf = RBF(2, 3)
    paddle.seed(0)
    rbf.init_from(tensor(np.random.default_rng(4).permutation(rows)))
    found, widths = rbf.centres.numpy(), np.exp(rbf.log_width.numpy())
    order = [int(np.abs(found - mean).sum(1).argmin()) for mean in means]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found[order], means, atol=1e-4)
    near = np.linalg.norm(means[0] - means[1])
    np.testing.assert_allclose(widths[order], [near, near, np.linalg.norm(means[0] - means[2])], rtol=1e-4)


def test_the_seed_decides():
    rows = tensor(np.random.default_rng(5).normal(size=(200, 4)))
    found = []
    for seed in (1, 1, 2):
        rbf = RBF(4, 10)
        paddle.seed(seed)
        rbf.init_from(rows)
        found.append(rbf.centres.numpy())
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_equal_rows_count_once():
    middles, rows = blobs()
    paddle.seed(0)
    rbf = RBF(2, 3)
    rbf.init_from(tensor(np.concatenate([rows, np.zeros((5000, 2))])))
    for middle in middles:
        assert np.linalg.norm(rbf.centres.numpy() - middle, axis=1).min() < 0.5


@pytest.mark.parametrize("rows", [[[1, 2]], [[1, 2]] * 9, [[1, 2], [3, 4]], [[0, 0], [0, 1e-9], [5, 5]]])
@pytest.mark.parametrize("centres", [1, 2, 6])
def test_few_rows(rows, centres):
    rbf = RBF(2, centres)
    rbf.init_from(tensor(rows))
    answer = rbf(tensor(rows)).numpy()
    assert np.isfinite(answer).all() and np.isfinite(rbf.log_width.numpy()).all()
    if len(rows) <= centres:
        assert answer.max(1).min() > 0.99, "every row has a centre of its own"


def test_one_centre_is_the_mean_and_its_width_the_spread():
    rbf = RBF(2, 1)
    rbf.init_from(tensor([[0, 0], [2, 0], [0, 4], [2, 4]]))
    np.testing.assert_allclose(rbf.centres.numpy(), [[1, 2]], atol=1e-6)
    np.testing.assert_allclose(np.exp(rbf.log_width.numpy()), [math.sqrt(5)], rtol=1e-5)


def test_nearest_distances():
    assert nearest_distances(np.array([[0.0], [1.0], [5.0]])).tolist() == [1, 1, 4]


def test_wrong_sizes():
    for arguments in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            RBF(*arguments)
    with pytest.raises(ValueError, match="at least one input"):
        RBF(2, 3).init_from(paddle.zeros([0, 2]))
