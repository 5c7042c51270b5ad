import paddle
import pytest
from paddle import nn

from ppmm.models.layers.conv_norm import conv_norm


@pytest.mark.parametrize(("kernel", "groups", "inputs"), [(3, 1, 64 * 9), (1, 1, 64), (5, 64, 25), (3, 4, 16 * 9)])
def test_weights_begin_with_the_variance_of_their_own_inputs(kernel, groups, inputs):
    paddle.seed(0)
    conv, norm = conv_norm(64, 128, kernel, groups=groups, epsilon=1e-3)
    assert conv.weight.numpy().std() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
    assert conv.bias is None and isinstance(norm, nn.BatchNorm2D) and norm._epsilon == 1e-3


def test_an_ordinary_convolution_begins_as_paddle_does():
    paddle.seed(0)
    ours = conv_norm(3, 4, 3)[0].weight.numpy()
    paddle.seed(0)
    assert (ours == nn.Conv2D(3, 4, 3, bias_attr=False).weight.numpy()).all()


@pytest.mark.parametrize(("kernel", "stride", "sides"), [(3, 1, [7, 10]), (5, 2, [4, 5]), (1, 2, [4, 5])])
def test_size(kernel, stride, sides):
    assert conv_norm(2, 3, kernel, stride)(paddle.zeros([2, 2, 7, 10])).shape == [2, 3, *sides]
