"""Convolutions over samples against SciPy's correlation."""

import numpy as np
import paddle
import pytest
from scipy.signal import correlate

from ppmm.models.encoders.wave_cnn import WaveCNN


def maxima(steps, size=4):
    """Of each ``size`` steps; the last ones may be fewer."""
    return np.array([steps[at : at + size].max(0) for at in range(0, len(steps), size)])


@pytest.mark.parametrize("length", [1, 3, 40, 65, 200])
def test_first_stage_by_hand(length):
    paddle.seed(0)
    encoder = WaveCNN(1, channels=[3], window=10, stride=4)
    encoder.eval()
    wave = np.random.default_rng(0).normal(size=length).astype("float32")
    filters = encoder.stages[0][1].weight.numpy()[:, 0]
    around = np.concatenate([np.zeros(4), wave, np.zeros(5)])
    steps = np.stack([correlate(around, kernel, mode="valid")[::4] for kernel in filters], axis=1)
    wanted = maxima(np.maximum(steps / np.sqrt(1 + 1e-5), 0))
    found = encoder(paddle.to_tensor(wave[None]))
    assert found.tokens.shape == [1, -(-length // 16), 3]
    np.testing.assert_allclose(found.tokens.numpy()[0], wanted, atol=1e-5)
    np.testing.assert_allclose(found.pooled.numpy()[0], wanted.mean(0), atol=1e-5)


def test_steps_of_a_clip_among_longer_ones():
    paddle.seed(0)
    encoder = WaveCNN(1, channels=[4, 5], window=16, stride=3)
    rng = np.random.default_rng(1)
    for name, tensor in encoder.state_dict().items():
        if name.endswith(("_mean", "bias")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32"))
    encoder.eval()
    lengths = [400, 1, 48, 49, 0]
    waves = np.full((5, 500), np.nan, "float32")
    for row, length in enumerate(lengths):
        waves[row, :length] = rng.normal(size=length)
    mask = np.arange(500)[None] < np.array(lengths)[:, None]
    found = encoder(paddle.to_tensor(waves), paddle.to_tensor(mask))
    assert found.token_mask.numpy().sum(1).tolist() == [9, 1, 1, 2, 0]
    for row, length in enumerate(lengths[:4]):
        alone = encoder(paddle.to_tensor(waves[row : row + 1, :length]))
        np.testing.assert_allclose(found.pooled.numpy()[row], alone.pooled.numpy()[0], atol=1e-5)
    assert not found.pooled.numpy()[4].any()


def test_only_waveforms():
    with pytest.raises(ValueError, match="must be a waveform"):
        WaveCNN(3)
    with pytest.raises(ValueError, match="at least 1"):
        WaveCNN(1, window=0)
