"""ResNet: blocks against SciPy, the table of He et al. 2016, real sizes of the stems."""

import numpy as np
import paddle
import pytest
from paddle.vision.models import resnet
from scipy.signal import correlate2d

from ppmm.models.encoders.resnet import BasicBlock, Bottleneck, ResNet


def convolve(x, kernels, stride):
    """x [C,H,W], kernels [O,C,k,k], padding k // 2."""
    pad = kernels.shape[-1] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    return np.stack(
        [sum(correlate2d(x[c], k[c], mode="valid") for c in range(len(x)))[::stride, ::stride] for k in kernels]
    )


def normalise(x, norm):
    scale = norm.weight.numpy() / np.sqrt(norm._variance.numpy() + 1e-5)
    return x * scale[:, None, None] + (norm.bias.numpy() - norm._mean.numpy() * scale)[:, None, None]


def conv_norm(x, pair, stride=1):
    return normalise(convolve(x, pair[0].weight.numpy().astype(float), stride), pair[1])


def numpy_block(x, block, stride):
    inner = np.maximum(conv_norm(x, block.first, stride), 0)
    shortcut = x if not hasattr(block.shortcut, "__getitem__") else conv_norm(x, block.shortcut, stride)
    return np.maximum(conv_norm(inner, block.second) + shortcut, 0)


def shaken(layer):
    rng = np.random.default_rng(0)
    for name, tensor in layer.state_dict().items():
        if name.endswith(("_mean", ".1.bias")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.3)
        elif name.endswith(("_variance", ".1.weight")):
            tensor.set_value(rng.uniform(0.5, 1.5, size=tensor.shape).astype("float32"))
    layer.eval()
    return layer


@pytest.mark.parametrize(
    ("before", "after", "stride", "convs"), [(3, 3, 1, 2), (3, 4, 1, 3), (3, 4, 2, 3), (3, 3, 2, 3)]
)
def test_block_equals_scipy(before, after, stride, convs):
    block = shaken(BasicBlock(before, after, stride))
    assert sum(isinstance(part, paddle.nn.Conv2D) for part in block.sublayers()) == convs
    x = np.random.default_rng(1).normal(size=(2, before, 5, 6)).astype("float32")
    found = block(paddle.to_tensor(x)).numpy()
    for row in range(2):
        np.testing.assert_allclose(found[row], numpy_block(x[row].astype(float), block, stride), atol=1e-5)


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_network_equals_scipy(stem_stride):
    paddle.seed(0)
    net = shaken(ResNet(1, depth=10, width=0.01, stem_stride=stem_stride))
    x = np.random.default_rng(2).normal(size=(1, 1, 16, 16)).astype("float32")
    grid = np.maximum(conv_norm(x[0].astype(float), net.stem[0], 2 if stem_stride == 4 else stem_stride), 0)
    if stem_stride == 4:
        wide = np.pad(grid, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))[:, ::2, ::2]
        grid = windows.max((-1, -2))
    for stage, block in enumerate(net.blocks):
        grid = numpy_block(grid, block, 2 if stage else 1)
    found = net(paddle.to_tensor(x))
    np.testing.assert_allclose(found.pooled.numpy()[0], grid.mean((1, 2)), atol=1e-4)
    np.testing.assert_allclose(found.tokens.numpy()[0], grid.reshape(len(grid), -1).T, atol=1e-4)


def trained_parameters(net):
    return sum(int(parameter.size) for parameter in net.parameters() if not parameter.stop_gradient)


@pytest.mark.parametrize(
    ("depth", "bottleneck_width", "published", "features"),
    [
        (18, 1.0, 11_689_512, 512),
        (34, 1.0, 21_797_672, 512),
        (50, 1.0, 25_557_032, 2048),
        (101, 1.0, 44_549_160, 2048),
        (50, 2.0, 68_883_240, 2048),
    ],
)
def test_parameters_of_the_published_network(depth, bottleneck_width, published, features):
    """torchvision's counts, without the classifier of 1,000 classes; the last is Wide ResNet-50-2."""
    with paddle.LazyGuard():  # sizes alone
        net = ResNet(3, depth=depth, bottleneck_width=bottleneck_width)
    assert net.out_dim == features
    assert trained_parameters(net) == published - (features + 1) * 1000


@pytest.mark.parametrize(("depth", "bottleneck_width"), [(18, 1.0), (50, 0.25)])
def test_equals_paddle_vision(depth, bottleneck_width):
    """Paddle's network with the same weights; its ``width`` is the inner one of the first bottleneck."""
    paddle.seed(0)
    kind = resnet.BottleneckBlock if depth == 50 else resnet.BasicBlock
    theirs = resnet.ResNet(kind, depth, width=round(64 * bottleneck_width), num_classes=0, with_pool=False)
    net = shaken(ResNet(3, depth=depth, bottleneck_width=bottleneck_width))
    for (name, mine), other in zip(net.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert mine.shape == other.shape, name
        other.set_value(mine)
    theirs.eval()
    x = paddle.to_tensor(np.random.default_rng(5).normal(size=(1, 3, 64, 48)).astype("float32"))
    wanted, found = theirs(x).numpy()[0], net(x)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found.tokens.numpy()[0], wanted.reshape(len(wanted), -1).T, atol=1e-5 * scale)
    np.testing.assert_allclose(found.pooled.numpy()[0], wanted.mean((1, 2)), atol=1e-5 * scale)


def test_bottleneck_equals_scipy():
    block = shaken(Bottleneck(3, 2, 8, stride=2))
    x = np.random.default_rng(4).normal(size=(1, 3, 5, 6)).astype("float32")
    inner = np.maximum(conv_norm(x[0].astype(float), block.first), 0)
    inner = np.maximum(conv_norm(inner, block.second, 2), 0)
    wanted = np.maximum(conv_norm(inner, block.third) + conv_norm(x[0].astype(float), block.shortcut, 2), 0)
    np.testing.assert_allclose(block(paddle.to_tensor(x)).numpy()[0], wanted, atol=1e-5)


def test_stochastic_depth_rises_to_the_last_block_and_leaves_the_shortcut():
    net = ResNet(3, depth=18, width=0.125, drop_path=0.35)
    assert [block.drop_path.rate for block in net.blocks] == pytest.approx([0.05 * n for n in range(8)])
    block = BasicBlock(4, 4, 1, drop_path=0.999999)
    block.train()
    x = paddle.to_tensor(np.random.default_rng(6).normal(size=(2, 4, 3, 3)).astype("float32"))
    np.testing.assert_array_equal(block(x).numpy(), np.maximum(x.numpy(), 0))


def test_basic_blocks_have_no_bottleneck_to_widen():
    with pytest.raises(ValueError, match="depth 18 has no bottlenecks"):
        ResNet(3, depth=18, bottleneck_width=2.0)


@pytest.mark.parametrize(("stem_stride", "side"), [(1, 8), (2, 4), (4, 2)])
def test_stride_of_the_whole(stem_stride, side):
    net = ResNet(3, depth=10, width=0.125, stem_stride=stem_stride)
    net.eval()
    assert net(paddle.zeros([1, 3, 64, 64])).tokens.shape == [1, side * side, 64] and net.out_dim == 64


def test_dropout_is_on_the_pooled_embedding_only():
    net = shaken(ResNet(1, depth=10, width=0.125, dropout=0.5))
    x = paddle.to_tensor(np.random.default_rng(3).normal(size=(1, 1, 32, 32)).astype("float32"))
    wanted = net(x).pooled.numpy()
    net.dropout.train()
    found = net(x).pooled.numpy()
    kept = found != 0
    assert 0 < kept.sum() < wanted.size
    np.testing.assert_allclose(found[kept], 2 * wanted[kept], rtol=1e-5)
