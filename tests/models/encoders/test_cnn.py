"""The plain convolutional network against SciPy."""

import numpy as np
import paddle
import pytest
from scipy.signal import correlate2d

from ppmm.models.encoders.cnn import CNN


def numpy_stage(x, conv, norm):
    """Convolution, norm, ReLU, 2x2 max pooling of x [C,H,W]."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    kernels = conv.weight.numpy().astype(float)
    grid = np.stack([sum(correlate2d(padded[c], k[c], mode="valid") for c in range(len(x))) for k in kernels])
    scale = norm.weight.numpy() / np.sqrt(norm._variance.numpy() + 1e-5)
    shift = norm.bias.numpy() - norm._mean.numpy() * scale
    grid = np.maximum(grid * scale[:, None, None] + shift[:, None, None], 0)
    channels, height, width = grid.shape
    grid = grid[:, : height // 2 * 2, : width // 2 * 2]
    return grid.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))


@pytest.mark.parametrize("size", [(4, 4), (6, 9)])
def test_equals_scipy(size):
    paddle.seed(0)
    net = CNN(2, [3, 4])
    rng = np.random.default_rng(0)
    for number in (1, 5):
        net.stages[number]._mean.set_value(rng.normal(size=net.stages[number]._mean.shape).astype("float32"))
        net.stages[number].bias.set_value(rng.normal(size=net.stages[number].bias.shape).astype("float32"))
    net.eval()
    x = rng.normal(size=(2, 2, *size)).astype("float32")
    found = net(paddle.to_tensor(x))
    for row in range(2):
        grid = numpy_stage(x[row].astype(float), net.stages[0], net.stages[1])
        grid = numpy_stage(grid, net.stages[4], net.stages[5])
        np.testing.assert_allclose(found.pooled.numpy()[row], grid.mean((1, 2)), atol=1e-5)
        np.testing.assert_allclose(found.tokens.numpy()[row], grid.reshape(4, -1).T, atol=1e-5)


def test_no_stage_is_refused():
    with pytest.raises(ValueError, match="at least one stage"):
        CNN(3, [])
