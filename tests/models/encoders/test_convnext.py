"""ConvNeXt: a block against SciPy, the published sizes."""

import numpy as np
import paddle
import pytest
from scipy.signal import correlate2d
from scipy.special import erf

from ppmm.models.encoders.convnext import ChannelNorm, ConvNeXt, ConvNeXtBlock


def normalise(layer, x):
    """Over the last axis."""
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * layer.weight.numpy() + layer.bias.numpy()


def shaken(layer):
    rng = np.random.default_rng(0)
    for name, tensor in layer.state_dict().items():
        if name.endswith(("bias", "scale")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32"))
    layer.eval()
    return layer


def test_block_equals_scipy():
    paddle.seed(0)
    block = shaken(ConvNeXtBlock(3, drop_path=0.3))
    x = np.random.default_rng(1).normal(size=(2, 3, 8, 9)).astype("float32")
    found = block(paddle.to_tensor(x)).numpy()
    kernels = block.depthwise.weight.numpy()[:, 0].astype(float)
    for row in range(2):
        wide = np.pad(x[row].astype(float), ((0, 0), (3, 3), (3, 3)))
        grid = np.stack([correlate2d(wide[c], kernels[c], mode="valid") for c in range(3)], axis=-1)
        pixels = normalise(block.norm, grid + block.depthwise.bias.numpy())
        hidden = pixels @ block.expand.weight.numpy() + block.expand.bias.numpy()
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        branch = (hidden @ block.reduce.weight.numpy() + block.reduce.bias.numpy()) * block.scale.numpy()
        np.testing.assert_allclose(found[row], x[row] + branch.transpose(2, 0, 1), atol=1e-5)


def test_channel_norm_is_per_pixel():
    norm = shaken(ChannelNorm(5))
    x = np.random.default_rng(2).normal(size=(2, 5, 3, 4)).astype("float32")
    wanted = normalise(norm.norm, x.astype(float).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(norm(paddle.to_tensor(x)).numpy(), wanted, atol=1e-5)


def test_pooled_and_tokens_are_normalised_by_the_same_layer():
    paddle.seed(0)
    net = shaken(ConvNeXt(3, depths=[1, 1, 1, 1], width=0.1, dropout=0.5))
    x = paddle.to_tensor(np.random.default_rng(3).normal(size=(2, 3, 64, 96)).astype("float32"))
    grid = net.stages(x).numpy().astype(float)
    found = net(x)
    assert grid.shape == (2, 77, 2, 3) and net.out_dim == 77
    np.testing.assert_allclose(found.pooled.numpy(), normalise(net.norm, grid.mean((2, 3))), atol=1e-4)
    wanted = normalise(net.norm, grid.reshape(2, 77, 6).transpose(0, 2, 1))
    np.testing.assert_allclose(found.tokens.numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("depths", "width", "published", "channels"),
    [
        (None, 1.0, 28_589_128, 768),
        ([3, 3, 27, 3], 1.0, 50_223_688, 768),
        ([3, 3, 27, 3], 1.3334, 88_591_464, 1024),
        ([3, 3, 27, 3], 2.0, 197_767_336, 1536),
    ],
    ids=["tiny", "small", "base", "large"],
)
def test_parameters_of_the_published_network(depths, width, published, channels):
    """torchvision's counts, without the classifier of 1,000 classes."""
    with paddle.LazyGuard():  # sizes alone
        net = ConvNeXt(3, depths=depths, width=width)
    assert net.out_dim == channels
    assert sum(int(parameter.size) for parameter in net.parameters()) == published - (channels + 1) * 1000


def test_stochastic_depth_rises_over_all_stages():
    net = ConvNeXt(3, depths=[1, 1, 2, 1], width=0.1, drop_path=0.4)
    rates = [part.drop_path.rate for part in net.stages if isinstance(part, ConvNeXtBlock)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("depths", [[3, 3], [1, 0, 1, 1]])
def test_depths_are_of_four_stages(depths):
    with pytest.raises(ValueError, match="four stages"):
        ConvNeXt(3, depths=depths)


@pytest.mark.parametrize(("patch", "side"), [(1, 4), (2, 2), (4, 1)])
def test_grid_of_a_small_picture(patch, side):
    net = ConvNeXt(1, depths=[1, 1, 1, 1], width=0.1, patch=patch)
    net.eval()
    assert net(paddle.zeros([1, 1, 32, 32])).tokens.shape == [1, side * side, 77]
