"""Radial-basis encoders: what they compute, and that they tell apart what no linear layer can."""

import math

import numpy as np
import paddle

from ppmm.models.encoders.rbf import ImageRBF, NumericRBF
from ppmm.models.layers.rbf import RBF


def test_numeric_by_hand():
    encoder = NumericRBF(2, centres=1)
    encoder.rbf.centres.set_value(np.array([[1, 1]], "float32"))
    encoder.rbf.log_width.set_value(np.zeros(1, "float32"))
    found = encoder(paddle.to_tensor([[1.0, 1.0], [1.0, 3.0]]))
    np.testing.assert_allclose(found.pooled.numpy(), [[1], [math.exp(-2)]], rtol=1e-6)
    assert found.tokens is None and encoder.out_dim == 1


def test_missing_numbers_are_their_learned_value_and_an_indicator():
    encoder = NumericRBF(2, centres=1, missing=True)
    encoder.missing.fill.set_value(np.array([5, 7], "float32"))
    encoder.rbf.centres.set_value(np.array([[1, 7, 0, 1]], "float32"))
    encoder.rbf.log_width.set_value(np.zeros(1, "float32"))
    found = encoder(paddle.to_tensor([[1.0, float("nan")], [1.0, 7.0]])).pooled.numpy()
    np.testing.assert_allclose(found, [[1], [math.exp(-0.5)]], rtol=1e-6)


def test_picture_is_its_pixels():
    paddle.seed(0)
    picture = np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype("float32")
    encoder = ImageRBF(2, size=4, centres=5)
    np.testing.assert_allclose(
        encoder(paddle.to_tensor(picture)).pooled.numpy(),
        encoder.rbf(paddle.to_tensor(picture.reshape(3, 32))).numpy(),
        atol=1e-6,
    )
    halved = ImageRBF(2, size=2, centres=5)
    means = picture.reshape(3, 2, 2, 2, 2, 2).mean((3, 5)).reshape(3, 8)
    np.testing.assert_allclose(
        halved(paddle.to_tensor(picture)).pooled.numpy(), halved.rbf(paddle.to_tensor(means)).numpy(), atol=1e-6
    )


def accuracy_of_least_squares(features, labels):
    weights = np.linalg.lstsq(np.c_[features, np.ones(len(features))], labels * 2 - 1, rcond=None)[0]
    return ((np.c_[features, np.ones(len(features))] @ weights > 0) == labels).mean()


def test_two_rings_are_linear_in_the_units_that_start_from_data():
    rng = np.random.default_rng(1)
    angle, labels = rng.uniform(0, 2 * np.pi, 400), np.arange(400) % 2
    rows = ((1 + 2 * labels) * np.stack([np.cos(angle), np.sin(angle)]) + rng.normal(size=(2, 400)) * 0.1).T
    rows = rows.astype("float32")
    paddle.seed(0)
    rbf = RBF(2, 12)
    rbf.init_from(paddle.to_tensor(rows))
    assert accuracy_of_least_squares(rows, labels) < 0.7
    assert accuracy_of_least_squares(rbf(paddle.to_tensor(rows)).numpy(), labels) == 1.0
