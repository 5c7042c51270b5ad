"""Fbank and MFCC against paddleaudio."""

import numpy as np
import pytest

from ppmm.errors import ConfigError
from ppmm.modalities.audio import LogMel, Mfcc
from ppmm.modalities.fbank import Fbank

SPEECH = np.random.default_rng(0).normal(0, 0.1, 5003).astype(np.float32) * np.hanning(5003).astype(np.float32)


@pytest.mark.parametrize(("rate", "bands", "low"), [(16000, 80, 20.0), (8000, 23, 0.0)])
def test_fbank_equals_kaldi_of_paddleaudio(rate, bands, low):
    import paddle
    from paddleaudio.compliance import kaldi

    found = Fbank(rate, bands, f_min=low, normalize=False)((SPEECH, rate))
    wanted = kaldi.fbank(paddle.to_tensor(SPEECH[None]), sr=rate, n_mels=bands, low_freq=low).numpy()
    assert found.shape == wanted.shape == (1 + (5003 - rate // 40) // (rate // 100), bands)
    assert np.abs(found - wanted).max() < 2e-3
    assert np.abs(found - wanted).mean() < 1e-5


def test_mfcc_equals_librosa_of_paddleaudio():
    from paddleaudio.compliance import librosa

    found = Mfcc(8000, 13, 40, normalize=False)((SPEECH, 8000))
    spectrum = librosa.melspectrogram(SPEECH, 8000, 200, 80, 40, 0.0, 4000.0, to_db=False)
    wanted = librosa.mfcc(SPEECH, 8000, spect=librosa.power_to_db(spectrum), n_mfcc=13).T
    assert found.shape == wanted.shape == (63, 13) and np.abs(found - wanted).max() < 1e-4


def test_mfcc_is_the_cosine_transform_of_log_mel():
    bands = LogMel(8000, 24, normalize=False)((SPEECH, 8000))
    k, m = np.arange(5)[:, None], np.arange(24)[None]
    basis = np.sqrt(2 / 24) * np.cos(np.pi * k * (2 * m + 1) / 48)
    basis[0] /= np.sqrt(2)
    np.testing.assert_allclose(Mfcc(8000, 5, 24, normalize=False)((SPEECH, 8000)), bands @ basis.T, atol=1e-3)


def test_normalised_coefficients_have_zero_mean_and_unit_spread_each():
    found = Mfcc(8000, 13, 40)((SPEECH, 8000))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-4)
    assert not Mfcc(8000, 13, 40)((np.zeros(3000), 8000)).any()


@pytest.mark.parametrize("samples", [1, 199, 200, 279, 280])
def test_short_and_silent_recordings(samples):
    field = Fbank(8000, 23)
    assert not field((np.zeros(samples), 8000)).any()
    features = field((SPEECH[2000 : 2000 + samples], 8000))
    assert np.isfinite(features).all() and len(features) == (2 if samples == 280 else 1)


@pytest.mark.parametrize("field", [Fbank(8000, 23, seconds=0.5), Mfcc(8000, 13, 40, seconds=0.5)])
def test_fixed_length_pads_and_masks(field):
    long, short = field((SPEECH, 8000)), field((SPEECH[2000:3000], 8000))
    batch = field.collate("a", [long, short, None])
    assert batch["a"].shape[1] == len(long) == (48 if isinstance(field, Fbank) else 51)
    assert batch["a_mask"].sum(axis=1).tolist() == [len(long), len(short), 0]
    assert field.collate("a", [short])["a"].shape[1] == len(long)
    assert field.specs("a")["a"].shape == (None, None, field.bands) and field.provides() == {"in_features": field.bands}


@pytest.mark.parametrize("make", [lambda: Mfcc(8000, 0), lambda: Mfcc(8000, 65), lambda: Fbank(8000, f_min=4000.0)])
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()


def test_too_many_bands():
    with pytest.raises(ConfigError, match="fewer bands"):
        Fbank(8000, 200)((SPEECH, 8000))
