"""PANNs against its published blocks, written out for a clip without padding."""

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from ppmm.models.encoders.panns import PANNs


def encoder_of(bands=8, **arguments):
    paddle.seed(0)
    encoder = PANNs(bands, dim=6, **arguments)
    rng = np.random.default_rng(0)
    for name, tensor in encoder.state_dict().items():
        if name.endswith(("_mean", "bias")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.3)
        elif name.endswith("_variance"):
            tensor.set_value(rng.uniform(0.5, 1.5, size=tensor.shape).astype("float32"))
    encoder.eval()
    return encoder


def published(encoder, x):
    """Kong et al. 2020, figure 2 and table 1, for T a multiple of 2 ** blocks."""
    norm = encoder.norm
    scale = norm.weight.numpy() / np.sqrt(norm._variance.numpy() + 1e-5)
    grid = paddle.to_tensor(((x - norm._mean.numpy()) * scale + norm.bias.numpy()).astype("float32")[:, None])
    for block in encoder.blocks:
        for conv, bn, _ in block.convs:
            grid = F.conv2d(grid, conv.weight, padding=1)
            grid = F.relu(F.batch_norm(grid, bn._mean, bn._variance, bn.weight, bn.bias))
        grid = F.avg_pool2d(grid, [2, 2])
    steps = grid.numpy().mean(3).transpose(0, 2, 1)
    dense = encoder.project.weight.numpy(), encoder.project.bias.numpy()
    summary = steps.max(1) + steps.mean(1)
    return np.maximum(summary @ dense[0] + dense[1], 0), np.maximum(steps @ dense[0] + dense[1], 0)


def test_equals_the_published_blocks():
    encoder = encoder_of(channels=[4, 5])
    x = np.random.default_rng(1).normal(size=(2, 12, 8)).astype("float32")
    found = encoder(paddle.to_tensor(x))
    pooled, tokens = published(encoder, x)
    assert found.tokens.shape == [2, 3, 6]
    np.testing.assert_allclose(found.pooled.numpy(), pooled, atol=1e-5)
    np.testing.assert_allclose(found.tokens.numpy(), tokens, atol=1e-5)


@pytest.mark.parametrize(("bands", "channels"), [(5, [4, 4, 4]), (1, [4]), (40, [4, 4])])
def test_any_number_of_bands_and_of_steps(bands, channels):
    encoder = encoder_of(bands, channels=channels)
    rng = np.random.default_rng(2)
    for length in (1, 2, 7, 16):
        x = rng.normal(size=(1, length, bands)).astype("float32")
        longer = np.concatenate([x, np.full((1, 5, bands), np.nan, "float32")], axis=1)
        mask = paddle.to_tensor(np.arange(length + 5)[None] < length)
        alone, found = encoder(paddle.to_tensor(x)), encoder(paddle.to_tensor(longer), mask)
        assert alone.tokens.shape[1] == -(-length // 2 ** len(channels)) == int(found.token_mask.sum())
        np.testing.assert_allclose(found.pooled.numpy(), alone.pooled.numpy(), atol=1e-5)


def test_no_blocks():
    with pytest.raises(ValueError, match="channels"):
        PANNs(8, channels=[])
