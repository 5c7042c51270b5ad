"""The Audio Spectrogram Transformer: patches by hand, in the order of time."""

import numpy as np
import paddle
import pytest

from ppmm.models.encoders.ast import AST


def encoder_of(bands, pooling="class", **arguments):
    paddle.seed(0)
    encoder = AST(bands, dim=8, layers=1, heads=2, pooling=pooling, **arguments)
    encoder.eval()
    return encoder


def tokens_by_hand(encoder, x, patch, stride):
    """Patches of one clip [T,M] as tokens with their places."""
    frames, bands = x.shape
    picture = np.zeros((frames + patch - 1, max(bands, patch)))
    picture[:frames, :bands] = x
    weight, bias = encoder.project.weight.numpy()[:, 0], encoder.project.bias.numpy()
    rates = 10000.0 ** (-2 * np.arange(4) / 8)
    tokens = []
    for number, time in enumerate(range(0, frames, stride)):
        for row, band in enumerate(range(0, picture.shape[1] - patch + 1, stride)):
            seen = (weight * picture[time : time + patch, band : band + patch]).sum((1, 2)) + bias
            place = np.concatenate([np.sin(number * rates), np.cos(number * rates)])
            tokens.append(seen + place + encoder.frequency.numpy()[0, 0, row])
    return np.array(tokens, "float32")


@pytest.mark.parametrize(("bands", "patch", "stride"), [(12, 4, 4), (12, 4, 3), (3, 4, 2), (8, 8, 5)])
def test_patches_by_hand(bands, patch, stride):
    encoder = encoder_of(bands, patch=patch, stride=stride)
    x = np.random.default_rng(0).normal(size=(11, bands)).astype("float32")
    tokens = tokens_by_hand(encoder, x, patch, stride)
    wanted = encoder.transformer(paddle.to_tensor(tokens[None]))
    found = encoder(paddle.to_tensor(x[None]))
    np.testing.assert_allclose(found.pooled.numpy(), wanted.pooled.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.tokens.numpy(), wanted.tokens.numpy(), atol=1e-4)


def test_mask_of_patches():
    encoder = encoder_of(9, "mean", patch=4, stride=3)
    lengths = [10, 3, 4, 0]
    x = np.random.default_rng(1).normal(size=(4, 10, 9)).astype("float32")
    mask = np.arange(10)[None] < np.array(lengths)[:, None]
    found = encoder(paddle.to_tensor(x), paddle.to_tensor(mask))
    assert encoder.rows == 2 and found.token_mask.numpy().sum(1).tolist() == [8, 2, 4, 0]
    assert found.token_mask.numpy()[2].tolist() == [True] * 4 + [False] * 4


def test_the_published_sizes():
    encoder = AST(128, dim=8, layers=1, heads=2)
    assert encoder.rows == 12  # Gong et al. 2021: 12 patches of 16 in 128 bands, with an overlap of 6
    for stride in (0, 17):
        with pytest.raises(ValueError, match="stride"):
            AST(128, stride=stride)
