"""Networks of paddle.vision without their classifiers, and their weights from a file."""

import numpy as np
import paddle
import pytest
from paddle.vision import models
from safetensors.numpy import save_file

from ppmm.errors import ConfigError
from ppmm.models.encoders.paddle_vision import BACKBONES, PaddleVision


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_swish"]
)
def test_channels_of_the_last_grid(name):
    net = PaddleVision(3, name)
    net.eval()
    found = net(paddle.zeros([1, 3, 64, 64]))
    assert net.out_dim == BACKBONES[name].channels
    assert found.pooled.shape == [1, net.out_dim] and found.tokens.shape == [1, 4, net.out_dim]


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_channels_are_those_that_its_classifier_reads(name):
    """Paddle's own whole network, of which only the sizes are made."""
    if name.startswith("vgg"):
        pytest.skip("its classifier reads 7x7 places at once")
    with paddle.LazyGuard():
        whole = BACKBONES[name].build(num_classes=7)
    weights = {
        key: value.shape for key, value in whole.state_dict().items() if key.startswith(BACKBONES[name].classifier)
    }
    first = next(shape for shape in weights.values() if len(shape) == 2)
    assert first[0] == BACKBONES[name].channels
    assert sorted(shape[-1] for shape in weights.values())[:1] == [7]


def test_names_are_those_of_paddle_vision():
    left_out = {"alexnet", "googlenet", "inception_v3", "squeezenet1_0", "squeezenet1_1"}
    assert set(BACKBONES) == {name for name in models.__all__ if name.islower()} - left_out
    assert all(backbone.build.__name__ == name for name, backbone in BACKBONES.items())


@pytest.fixture
def weights(tmp_path):
    """A whole network's file, and what it answers without its classifier."""
    paddle.seed(3)
    whole = models.shufflenet_v2_x0_25(num_classes=7)
    path = tmp_path / "shufflenet.safetensors"
    save_file({name: tensor.numpy() for name, tensor in whole.state_dict().items()}, path)
    whole.eval()
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype("float32"))
    return path, x, whole(x).numpy(), whole.state_dict()


def test_weights_of_the_whole_network_start_the_encoder(weights):
    path, x, logits, state = weights
    net = PaddleVision(3, "shufflenet_v2_x0_25", weights=str(path))
    net.eval()
    assert not np.allclose(net(x).pooled.numpy() @ state["_fc.weight"].numpy() + state["_fc.bias"].numpy(), logits)
    net.load_pretrained()
    found = net(x).pooled.numpy() @ state["_fc.weight"].numpy() + state["_fc.bias"].numpy()
    np.testing.assert_allclose(found, logits, atol=1e-5)


def test_weights_of_another_network_are_refused(weights):
    net = PaddleVision(3, "shufflenet_v2_x0_5", weights=str(weights[0]))
    with pytest.raises(ConfigError, match=r"shufflenet\.safetensors is of another network: .* there and .* here"):
        net.load_pretrained()


def test_missing_weights_say_where_they_are(tmp_path):
    net = PaddleVision(3, "mobilenet_v3_small", weights=str(tmp_path / "none.safetensors"))
    with pytest.raises(ConfigError, match=r"get https://.*mobilenet_v3_small_x1\.0\.pdparams"):
        net.load_pretrained()


def test_without_weights_nothing_is_read():
    net = PaddleVision(3, "shufflenet_v2_x0_25")
    before = net.backbone.state_dict()["_conv1.0.weight"].numpy().copy()
    net.load_pretrained()
    assert np.array_equal(net.backbone.state_dict()["_conv1.0.weight"].numpy(), before)


def test_unknown_names_and_grey_pictures_are_refused():
    with pytest.raises(ValueError, match=r"no backbone 'resnet51'.*did you mean 'resnet50'"):
        PaddleVision(3, "resnet51")
    with pytest.raises(ValueError, match="resnet18 is for 3 channels, got 1"):
        PaddleVision(1, "resnet18")
