"""LeNet-5 against SciPy and the sizes of its paper."""

import numpy as np
import paddle
import pytest
from scipy.signal import correlate2d

from ppmm.errors import DataError
from ppmm.models.encoders.lenet import LeNet


def convolve(conv, x):
    kernels, biases = conv.weight.numpy().astype(float), conv.bias.numpy()
    maps = [
        sum(correlate2d(x[c], k[c], mode="valid") for c in range(len(x))) + b
        for k, b in zip(kernels, biases, strict=True)
    ]
    return np.maximum(np.stack(maps), 0)


def halve(x):
    channels, height, width = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))


@pytest.mark.parametrize(("height", "width", "tokens"), [(28, 28, 1), (32, 28, 2), (33, 36, 6)])
def test_equals_scipy(height, width, tokens):
    paddle.seed(0)
    net = LeNet(2, width=0.5, dropout=0.5)
    net.eval()
    rng = np.random.default_rng(0)
    for conv in (net.c1, net.c3, net.c5, net.f6):
        conv.bias.set_value(rng.normal(size=conv.bias.shape).astype("float32") * 0.1)
    x = rng.normal(size=(2, 2, height, width)).astype("float32")
    found = net(paddle.to_tensor(x))
    assert found.tokens.shape == [2, tokens, 42]
    for row in range(2):
        wide = np.pad(x[row].astype(float), ((0, 0), (2, 2), (2, 2)))
        grid = convolve(net.c5, halve(convolve(net.c3, halve(convolve(net.c1, wide)))))
        positions = grid.reshape(len(grid), -1).T
        wanted = np.maximum(positions @ net.f6.weight.numpy() + net.f6.bias.numpy(), 0)
        np.testing.assert_allclose(found.tokens.numpy()[row], wanted, atol=1e-4)
        np.testing.assert_allclose(found.pooled.numpy()[row], wanted.mean(0), atol=1e-4)


def test_parameters_of_the_paper():
    """156 in C1, 48,120 in C5, 10,164 in F6 (LeCun et al. 1998, section II.B); 2,416 in C3 where it sees all maps."""
    net = LeNet(1)
    sizes = [sum(int(p.size) for p in layer.parameters()) for layer in (net.c1, net.c3, net.c5, net.f6)]
    assert sizes == [156, 2416, 48_120, 10_164] and net.out_dim == 84
    assert sum(int(p.size) for p in net.parameters()) == 61_706 - 850


def test_a_small_picture_is_refused():
    with pytest.raises(DataError, match=r"28x27 pixels is too small.*at least 28x28"):
        LeNet(1)(paddle.zeros([1, 1, 28, 27]))
