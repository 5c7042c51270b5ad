"""The log-mel field against paddleaudio, and its limits."""

import time

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.audio import LogMel
from ppmm.modalities.audio_augment import AudioShift
from ppmm.modalities.feature_augment import SpecMask

RATE = 8000
SPEECH = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32) * np.hanning(4000).astype(np.float32)


def test_equals_paddleaudio():
    from paddleaudio.compliance import librosa

    found = LogMel(RATE, 40, normalize=False)((SPEECH, RATE))
    mel = librosa.melspectrogram(SPEECH, RATE, 200, 80, 40, 0.0, 4000.0, to_db=False)
    expected = librosa.power_to_db(mel).T
    assert found.shape == expected.shape == (51, 40) and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5


def test_a_tone_lights_its_band():
    from paddleaudio.compliance import librosa

    wave = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    features = LogMel(RATE, 40, normalize=False)((wave, RATE))
    centres = librosa.mel_frequencies(42, 0.0, 4000.0)[1:-1]
    assert features[50].argmax() == np.abs(centres - 1000).argmin()


def test_normalised_features_have_zero_mean_and_unit_spread():
    features = LogMel(RATE, 40)((SPEECH, RATE))
    assert abs(features.mean()) < 1e-5 and abs(features.std() - 1) < 1e-4


def test_loudness_does_not_change_normalised_features():
    field = LogMel(RATE, 40)
    noise = np.random.default_rng(1).normal(0, 0.1, 4000)
    assert np.abs(field((noise, RATE)) - field((noise * 0.25, RATE))).max() < 1e-4


@pytest.mark.parametrize("samples", [1, 100, 199, 4000])
def test_silent_and_very_short_clips_are_finite(samples):
    field = LogMel(RATE, 40)
    assert not field((np.zeros(samples), RATE)).any()
    assert not field((np.full(samples, 1e-12), RATE)).any()
    assert np.isfinite(field((SPEECH[:samples], RATE))).all()


def test_other_rates_are_resampled():
    field = LogMel(RATE, 40)
    found = field((np.repeat(SPEECH, 2), 2 * RATE))
    assert found.shape == (51, 40)
    assert np.corrcoef(found[:, :25].ravel(), field((SPEECH, RATE))[:, :25].ravel())[0, 1] > 0.9


def test_is_fast_enough():
    field = LogMel(RATE, 40)
    field((SPEECH, RATE))
    times = []
    for _ in range(50):
        start = time.process_time()
        field((SPEECH, RATE))
        times.append(time.process_time() - start)
    assert sorted(times)[5] < 1.5e-3


def test_augments_waveform_then_features_only_with_a_generator():
    seen = []

    def on_wave(wave, rng):
        seen.append(wave.shape)
        return wave

    def on_features(features, rng):
        seen.append(features.shape)
        return features + rng.integers(1, 5)

    field = LogMel(RATE, 40, augment=[on_wave], augment_features=[on_features])
    plain = field((SPEECH, RATE))
    assert seen == []
    changed = field((SPEECH, RATE), np.random.default_rng(0))
    assert seen == [(4000,), (51, 40)] and changed.mean() - plain.mean() >= 0.99


def test_batch_matches_specs():
    field = LogMel(RATE, 40, min_frames=16)
    batch = field.collate("audio", [np.ones((3, 40), np.float32), None])
    assert batch["audio"].shape == (2, 16, 40)
    assert batch["audio_mask"].sum(axis=1).tolist() == [3, 0]
    assert batch["has_audio"].tolist() == [True, False]
    specs = field.specs("audio")
    assert specs["audio"] == ((None, None, 40), "float32") and specs["audio_mask"] == ((None, None), "bool")
    assert set(specs) == set(batch)
    assert field.provides() == {"in_features": 40}


@pytest.mark.parametrize(
    "settings",
    [{"f_max": 5000.0}, {"f_min": 4000.0}, {"hop_ms": 0.0}, {"window_ms": 0.5}, {"n_mels": 0}, {"max_seconds": 0.0},
     {"sample_rate": 8}, {"augment": [SpecMask(1, 1)]}, {"augment_features": [AudioShift(1)]}],
)  # fmt: skip
def test_wrong_settings(settings):
    with pytest.raises(ConfigError):
        LogMel(**{"sample_rate": RATE, **settings})


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_too_many_bands_for_the_window():
    with pytest.raises(ConfigError, match="fewer bands or a longer window_ms"):
        LogMel(RATE, 200)((SPEECH, RATE))


def test_too_long():
    with pytest.raises(DataError, match="max_seconds"):
        LogMel(RATE, max_seconds=0.25)((SPEECH, RATE))
