"""Rounding within training equals that of Paddle's own quantisers, which PaddleSlim's QAT is made of."""

import math

import numpy as np
import paddle
import pytest
from paddle.nn.quant.quant_layers import FakeQuantChannelWiseAbsMax, FakeQuantMovingAverageAbsMax

from ppmm.compress.slim_shims import load_paddleslim
from ppmm.models.layers.fake_quantisation import PACT, ActivationQuantiser, quantised_weight


def random(*shape, seed=0, scale=1.0):
    return paddle.to_tensor((np.random.default_rng(seed).normal(size=shape) * scale).astype("float32"))


def assert_equal_to_ties(found, wanted, step):
    """Within float32, but where x / step is so near a half that both ways of dividing may round apart."""
    apart = np.abs(found - wanted)
    assert apart.max() <= step * 1.001 and (apart > 1e-5 * step).mean() < 0.01


@pytest.mark.parametrize(("shape", "axis"), [([6, 4], 1), ([5, 3, 3, 2], 0)])
def test_weights_are_paddles_channel_wise_abs_max(shape, axis):
    weight = random(*shape) * paddle.linspace(0.1, 3.0, shape[axis]).reshape(
        [-1 if number == axis else 1 for number in range(len(shape))]
    )
    paddles = FakeQuantChannelWiseAbsMax(channel_num=shape[axis], quant_axis=axis, quant_on_weight=True)
    step = float(weight.abs().max()) / 127
    assert_equal_to_ties(quantised_weight(weight, axis).numpy(), paddles(weight).numpy(), step)


def test_activations_are_paddles_moving_average_abs_max():
    """From Paddle's beginning, an invented batch with range 1; ours begins with none."""
    ours, paddles = ActivationQuantiser(rate=0.9), FakeQuantMovingAverageAbsMax(moving_rate=0.9)
    for layer in (ours, paddles):
        layer.train()
    assert float(paddles._state) == float(paddles._accum) == 1.0
    paddle.assign(paddle.ones([1]), output=ours.count), paddle.assign(paddle.ones([1]), output=ours.bound)
    for seed in range(4):
        x = random(4, 50, seed=seed, scale=1.0 + seed)
        found, wanted = ours(x).numpy(), paddles(x).numpy()
        assert ours.range() == pytest.approx(float(paddles._scale), rel=1e-5)
        assert_equal_to_ties(found, wanted, ours.range() / 127)
    ours.eval(), paddles.eval()
    x = random(4, 50, seed=9, scale=9.0)
    assert_equal_to_ties(ours(x).numpy(), paddles(x).numpy(), ours.range() / 127)


def test_pact_cuts_as_paddleslims_and_its_range_has_the_same_gradient():
    pytest.importorskip("paddleslim")
    load_paddleslim()
    from paddleslim.dygraph.quant.qat import PACT as slims_pact  # noqa: N811

    slim = slims_pact()
    alpha = float(slim.alpha)
    ours = PACT()
    ours.log_bound.set_value(paddle.to_tensor([math.log(alpha)], dtype="float32"))
    x = random(200, scale=alpha)
    weights = random(200, seed=1)
    wanted = slim(x)
    (wanted * weights).sum().backward()
    found = ours(x)
    (found * weights).sum().backward()
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=0.5 * alpha / 127 * 1.001)
    by_alpha = float(slim.alpha.grad)
    assert by_alpha != 0
    assert float(ours.log_bound.grad) == pytest.approx(alpha * by_alpha, rel=1e-4)  # d alpha / d log alpha = alpha
