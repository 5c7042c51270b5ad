"""Encoders that keep the order of what they read: sizes, columns, and that a reversal shows."""

import numpy as np
import paddle
import pytest

from ppmm.models.encoders.bilstm_attention import BiLSTMAttention
from ppmm.models.encoders.cnn_bilstm_attention import CNNBiLSTMAttention
from ppmm.models.encoders.crnn import CRNN


def crnn(**given):
    paddle.seed(0)
    encoder = CRNN(3, dim=8, **given)
    encoder.eval()
    return encoder


def test_columns_of_a_picture():
    encoder = crnn(channels=[4, 6, 5])
    found = encoder(paddle.zeros([2, 3, 32, 96]))
    assert found.pooled.shape == [2, 8] and found.tokens.shape == [2, 24, 8] and found.token_mask is None
    assert encoder.project.weight.shape == [5 * 4, 8], "four rows of the last stage's channels"
    assert crnn(channels=[4])(paddle.zeros([1, 3, 32, 50])).tokens.shape == [1, 25, 8]


def test_convolutions_see_only_their_own_columns():
    """Before the BiLSTM, a change at the right edge does not reach the left one."""
    encoder = crnn(channels=[4, 6])
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 64)).astype("float32")
    y = x.copy()
    y[..., 60:] += 1
    first, second = (encoder.rows(encoder.stages(paddle.to_tensor(array))).numpy() for array in (x, y))
    np.testing.assert_allclose(first[..., :13], second[..., :13], atol=1e-6)
    assert np.abs(first[..., 15] - second[..., 15]).max() > 1e-3


def test_no_stage_is_refused():
    with pytest.raises(ValueError, match="at least one stage"):
        CRNN(1, channels=[])


@pytest.mark.parametrize("kind", ["image", "text", "audio"])
def test_what_comes_first_matters(kind):
    """The same parts in another order give another embedding, by far more than rounding."""
    paddle.seed(0)
    rng = np.random.default_rng(1)
    if kind == "image":
        encoder, values = crnn(channels=[4, 6]), rng.normal(size=(1, 3, 32, 64)).astype("float32")
        turned = np.concatenate([values[..., 32:], values[..., :32]], axis=-1)
    elif kind == "text":
        encoder, values = BiLSTMAttention(9, dim=8), np.array([[1, 2, 3, 4, 5, 6]])
        turned = np.array([[4, 5, 6, 1, 2, 3]])
    else:
        encoder, values = CNNBiLSTMAttention(6, dim=8, channels=[4]), rng.normal(size=(1, 16, 6)).astype("float32")
        turned = np.concatenate([values[:, 8:], values[:, :8]], axis=1)
    encoder.eval()
    first, second = (encoder(paddle.to_tensor(array)).pooled.numpy() for array in (values, turned))
    assert np.linalg.norm(first - second) / np.linalg.norm(first) > 1e-2
