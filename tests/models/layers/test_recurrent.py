"""Bidirectional recurrence against NumPy, and blind to padding."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.models.layers.recurrent import Bidirectional

LENGTHS = [5, 2, 7, 1]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_lstm(x, w_ih, w_hh, b_ih, b_hh):
    """Hochreiter and Schmidhuber 1997 with forget gate, gates in the order i, f, g, o: x [T,D] -> [T,H]."""
    hidden = cell = np.zeros(w_hh.shape[1])
    steps = []
    for step in x:
        i, f, g, o = np.split(w_ih @ step + b_ih + w_hh @ hidden + b_hh, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        steps.append(hidden)
    return np.stack(steps)


def numpy_gru(x, w_ih, w_hh, b_ih, b_hh):
    """Cho et al. 2014 in the form with the reset gate after the product: x [T,D] -> [T,H]."""
    hidden = np.zeros(w_hh.shape[1])
    steps = []
    for step in x:
        r_x, z_x, c_x = np.split(w_ih @ step + b_ih, 3)
        r_h, z_h, c_h = np.split(w_hh @ hidden + b_hh, 3)
        update = sigmoid(z_x + z_h)
        hidden = update * hidden + (1 - update) * np.tanh(c_x + sigmoid(r_x + r_h) * c_h)
        steps.append(hidden)
    return np.stack(steps)


def weights(layer, suffix):
    found = {name.rsplit(".", 1)[-1]: p.numpy().astype(float) for name, p in layer.named_parameters()}
    return [found[f"{kind}{suffix}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def inputs(dim=3, padding=0.0):
    rng = np.random.default_rng(0)
    mask = np.arange(max(LENGTHS))[None] < np.array(LENGTHS)[:, None]
    x = rng.normal(size=(len(LENGTHS), max(LENGTHS), dim)).astype("float32")
    x[~mask] = padding
    return x, mask


@pytest.fixture(params=[(nn.LSTM, numpy_lstm), (nn.GRU, numpy_gru)], ids=["lstm", "gru"])
def cell(request):
    paddle.seed(3)
    return request.param


@pytest.mark.parametrize("padding", [0.0, 1e30, float("nan")])
def test_equals_numpy_in_both_directions(cell, padding):
    kind, reference = cell
    layer = Bidirectional(kind, 3, 8)
    layer.eval()
    x, mask = inputs(padding=padding)
    found = layer(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy()
    for row, length in enumerate(LENGTHS):
        own = x[row, :length].astype(float)
        np.testing.assert_allclose(found[row, :length, :4], reference(own, *weights(layer, "_l0")), atol=1e-6)
        backward = reference(own[::-1], *weights(layer, "_l0_reverse"))[::-1]
        np.testing.assert_allclose(found[row, :length, 4:], backward, atol=1e-6)
        assert not found[row, length:].any()


@pytest.mark.parametrize("layers", [1, 2])
def test_padding_invariance(cell, layers):
    layer = Bidirectional(cell[0], 3, 8, layers)
    layer.eval()
    x, mask = inputs()
    together = layer(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy()
    longer = np.pad(x, ((0, 0), (0, 6), (0, 0)), constant_values=np.nan)
    padded = layer(paddle.to_tensor(longer), paddle.to_tensor(np.pad(mask, ((0, 0), (0, 6))))).numpy()
    np.testing.assert_allclose(padded[:, : x.shape[1]], together, atol=1e-6)
    for row, length in enumerate(LENGTHS):
        alone = layer(paddle.to_tensor(x[row : row + 1, :length])).numpy()[0]
        np.testing.assert_allclose(together[row, :length], alone, atol=1e-6)


def test_a_row_without_steps_is_zero_and_leaves_the_others_alone(cell):
    layer = Bidirectional(cell[0], 3, 8)
    layer.eval()
    x, mask = inputs()
    before = layer(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy()
    mask[1] = False
    x[1] = np.nan
    after = layer(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy()
    assert not after[1].any()
    np.testing.assert_allclose(after[[0, 2, 3]], before[[0, 2, 3]], atol=1e-6)


def test_gradient_is_finite_with_poisoned_padding(cell):
    layer = Bidirectional(cell[0], 3, 8)
    gradients = []
    for padding in (0.0, float("nan")):
        x, mask = inputs(padding=padding)
        (layer(paddle.to_tensor(x), paddle.to_tensor(mask)) ** 2).sum().backward()
        gradients.append([parameter.grad.numpy().copy() for parameter in layer.parameters()])
        layer.clear_gradients()
    for clean, poisoned in zip(*gradients, strict=True):
        assert np.abs(clean).max() > 0
        np.testing.assert_allclose(poisoned, clean, atol=1e-5)


def test_odd_size_is_refused():
    with pytest.raises(ValueError, match="even"):
        Bidirectional(nn.LSTM, 3, 7)
