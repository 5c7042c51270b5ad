"""Conformer blocks against NumPy, equation by equation."""

import numpy as np
import paddle
import pytest
from scipy.special import expit

from ppmm.models.encoders.conformer import Conformer, ConformerBlock


def silu(x):
    return x * expit(x)


def norm(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * layer.weight.numpy() + layer.bias.numpy()


def linear(layer, x):
    answer = x @ layer.weight.numpy()
    return answer if layer.bias is None else answer + layer.bias.numpy()


def feed_forward(layer, x):
    return linear(layer.reduce, silu(linear(layer.expand, norm(layer.norm, x))))


def attention(layer, x):
    """One clip [T,dim]."""
    q, k, v = (linear(part, x) for part in (layer.query, layer.key, layer.value))
    size = q.shape[1] // layer.heads
    answers = []
    for start in range(0, q.shape[1], size):
        scores = q[:, start : start + size] @ k[:, start : start + size].T / np.sqrt(size)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        answers.append(weights / weights.sum(1, keepdims=True) @ v[:, start : start + size])
    return linear(layer.out, np.concatenate(answers, axis=1))


def convolution(layer, x):
    """One clip [T,dim]."""
    values, gates = np.split(linear(layer.expand, norm(layer.norm, x)), 2, axis=1)
    steps = values * expit(gates)
    kernels = layer.depthwise.weight.numpy()[:, 0]
    side = kernels.shape[1] // 2
    around = np.pad(steps, [(side, side), (0, 0)])
    mixed = np.stack([(around[at : at + kernels.shape[1]] * kernels.T).sum(0) for at in range(len(x))])
    bn = layer.batch_norm
    mixed = (mixed - bn._mean.numpy()) / np.sqrt(bn._variance.numpy() + 1e-5) * bn.weight.numpy() + bn.bias.numpy()
    return linear(layer.reduce, silu(mixed))


def by_equation(block, x):
    """Gulati et al. 2020, equation 1."""
    x = x + 0.5 * feed_forward(block.before, x)
    x = x + attention(block.attention, norm(block.attention_norm, x))
    x = x + convolution(block.convolution, x)
    return norm(block.norm, x + 0.5 * feed_forward(block.after, x))


def test_block():
    paddle.seed(0)
    block = ConformerBlock(8, heads=2, kernel=5, ffn=12, dropout=0.4)
    rng = np.random.default_rng(0)
    for name, tensor in block.state_dict().items():
        if name.endswith(("bias", "_mean")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.3)
    block.eval()
    x = rng.normal(size=(3, 7, 8)).astype("float32")
    lengths = [7, 3, 1]
    mask = np.arange(7)[None] < np.array(lengths)[:, None]
    found = block(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy()
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(found[row, :length], by_equation(block, x[row, :length]), atol=1e-4)


def test_encoder_is_subsampling_positions_blocks():
    paddle.seed(0)
    encoder = Conformer(6, dim=8, layers=2, heads=2, kernel=3, channels=[3, 4])
    encoder.eval()
    x = np.random.default_rng(1).normal(size=(1, 13, 6)).astype("float32")
    grid, _ = encoder.stages(paddle.to_tensor(x))
    steps = encoder.positions(encoder.project(grid)).numpy()[0]
    for block in encoder.blocks:
        steps = by_equation(block, steps)
    found = encoder(paddle.to_tensor(x))
    assert found.tokens.shape == [1, 4, 8]
    np.testing.assert_allclose(found.tokens.numpy()[0], steps, atol=1e-4)
    np.testing.assert_allclose(found.pooled.numpy()[0], steps.mean(0), atol=1e-4)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        Conformer(6, kernel=4)
