"""MobileNetV3: equal to paddle.vision's with the same weights, and the sizes of the paper's tables."""

import numpy as np
import paddle
import pytest
from paddle.vision.models import mobilenet_v3_large, mobilenet_v3_small

from ppmm.models.encoders.mobilenet_v3 import TABLES, MobileNetV3, SqueezeExcitation, divisible

REFERENCE = {"small": mobilenet_v3_small, "large": mobilenet_v3_large}


def shaken_copy(source, target):
    """Give both networks the same random statistics and biases; their arrays come in the same order."""
    rng = np.random.default_rng(0)
    pairs = list(zip(source.state_dict().items(), target.state_dict().values(), strict=True))
    for (name, tensor), other in pairs:
        assert tensor.shape == other.shape, name
        if name.endswith(("_mean", "bias")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.3)
        elif name.endswith("_variance"):
            tensor.set_value(rng.uniform(0.5, 1.5, size=tensor.shape).astype("float32"))
        other.set_value(tensor)
    source.eval()
    target.eval()


@pytest.mark.parametrize(("size", "width"), [("small", 0.5), ("large", 0.35), ("small", 1.25)])
def test_equals_paddle_vision(size, width):
    paddle.seed(0)
    reference = REFERENCE[size](scale=width, num_classes=0, with_pool=False)
    net = MobileNetV3(3, size, width)
    shaken_copy(reference, net)
    x = paddle.to_tensor(np.random.default_rng(1).normal(size=(2, 3, 64, 96)).astype("float32"))
    wanted, found = reference(x).numpy(), net(x)
    assert wanted.shape == (2, net.out_dim, 2, 3)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found.tokens.numpy(), wanted.reshape(2, -1, 6).transpose(0, 2, 1), atol=1e-5 * scale)
    np.testing.assert_allclose(found.pooled.numpy(), wanted.mean((2, 3)), atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("size", "published", "classifier", "out_dim"),
    [
        ("small", 2_542_856, 576 * 1024 + 1024 + 1024 * 1000 + 1000, 576),
        ("large", 5_483_032, 960 * 1280 + 1280 + 1280 * 1000 + 1000, 960),
    ],
)
def test_parameters_of_the_published_network(size, published, classifier, out_dim):
    """The paper says 2.5 and 5.4 million; exact counts are torchvision's, with their classifiers."""
    net = MobileNetV3(3, size)
    assert sum(int(p.size) for p in net.parameters() if not p.stop_gradient) == published - classifier
    assert net.out_dim == out_dim


def test_squeeze_excitation_weighs_channels():
    layer = SqueezeExcitation(4, 2)
    x = np.random.default_rng(2).normal(size=(2, 4, 3, 5)).astype("float32")
    w1, w2 = (conv.weight.numpy()[:, :, 0, 0].astype(float) for conv in (layer.reduce, layer.expand))
    inner = np.maximum(x.mean((2, 3)) @ w1.T, 0)
    gate = np.clip(inner @ w2.T / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(layer(paddle.to_tensor(x)).numpy(), x * gate[:, :, None, None], atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "wanted"), [(3, 8), (11.9, 16), (12, 16), (18, 24), (19.2, 24), (24, 24), (67.5, 64)]
)
def test_channels_are_multiples_of_eight(channels, wanted):
    """18 -> 24, since 16 would be below 90 %."""
    assert divisible(channels) == wanted


def test_small_pictures_keep_twice_the_grid():
    x = paddle.zeros([1, 1, 32, 32])
    sides = []
    for stride in (2, 1):
        net = MobileNetV3(1, width=0.125, stem_stride=stride)
        net.eval()
        sides.append(net(x).tokens.shape[1])
    assert sides == [1, 4]


def test_stochastic_depth_is_where_a_shortcut_is():
    net = MobileNetV3(3, width=0.125, drop_path=0.2)
    last = len(TABLES["small"]) - 1
    for number, (block, row) in enumerate(zip(net.blocks, TABLES["small"], strict=True)):
        assert block.drop_path.rate == pytest.approx(0.2 * number / last if block.residual else 0.0)
        assert not (block.residual and row.stride == 2)
    assert net.blocks[last].drop_path.rate == pytest.approx(0.2)
