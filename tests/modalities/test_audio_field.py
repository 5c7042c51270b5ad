"""Channels, trimming and cutting, which every audio field shares."""

import numpy as np
import pytest

from ppmm.errors import ConfigError
from ppmm.modalities.audio import LogMel, Mfcc
from ppmm.modalities.audio_augment import AudioNoise, AudioShift, AudioSpeed
from ppmm.modalities.audio_field import cut, trim_silence
from ppmm.modalities.fbank import Fbank
from ppmm.modalities.waveform import Waveform


def test_trim_keeps_what_is_between_the_first_and_the_last_sound():
    wave = np.zeros(1000, np.float32)  # blocks of 20 samples at 1,000 Hz
    wave[205], wave[610] = 1.0, 0.5
    trimmed = trim_silence(wave, 40.0, 1000)
    assert np.array_equal(trimmed, wave[200:620])
    assert np.array_equal(trim_silence(wave, 5.0, 1000), wave[200:220]), "0.5 is 6.02 dB below 1"
    assert len(trim_silence(np.zeros(50, np.float32), 40.0, 1000)) == 50
    assert len(trim_silence(np.ones(1, np.float32), 40.0, 1000)) == 1


def test_trim_judges_the_incomplete_last_block_by_its_own_length():
    wave = np.zeros(45, np.float32)
    wave[5], wave[44] = 1.0, 0.5  # mean power 1/20 and 0.25/5: both the same
    assert len(trim_silence(wave, 1.0, 1000)) == 45


def test_cut_is_central_or_random():
    wave = np.arange(10, dtype=np.float32)
    assert cut(wave, 4, None).tolist() == [3, 4, 5, 6]
    assert cut(wave, 20, None) is wave
    rng = np.random.default_rng(0)
    assert {int(cut(wave, 4, rng)[0]) for _ in range(200)} == set(range(7))


def test_the_field_trims_cuts_pads_and_masks():
    field = Waveform(1000, min_samples=1, seconds=0.1, trim_db=40.0)
    wave = np.concatenate([np.zeros(500), np.ones(60), np.zeros(500)])
    found = field((wave, 1000))
    assert found.tolist() == [1.0] * 60
    batch = field.collate("a", [found, np.ones(100, np.float32)])
    assert batch["a"].shape == (2, 100) and batch["a_mask"].sum(axis=1).tolist() == [60, 100]
    assert len(field((np.ones(500), 1000))) == 100


@pytest.mark.parametrize(("channel", "wanted"), [("mix", 0.3), ("left", 0.5), ("right", 0.1)])
def test_channels(channel, wanted):
    stereo = np.stack([np.full(100, 0.5), np.full(100, 0.1)], axis=1)
    np.testing.assert_allclose(Waveform(8000, channel=channel)((stereo, 8000)), wanted, atol=1e-6)
    np.testing.assert_allclose(Waveform(8000, channel=channel)((np.full(9, 0.5), 8000)), 0.5)


@pytest.mark.parametrize("make", [LogMel, Mfcc, Fbank])
@pytest.mark.parametrize("rate", [8000, 11025])
def test_two_channels_side_by_side(make, rate):
    rng = np.random.default_rng(0)
    sounds = (rng.normal(0, 0.1, (6000, 3)) * [1.0, 0.1, 9.0]).astype(np.float32)
    field, one = (make(8000, n_mels=24, normalize=False, channel=channel) for channel in ("both", "mix"))
    found = field((sounds, rate))
    wanted = [one((sounds[:, channel].copy(), rate)) for channel in (0, 1)]
    np.testing.assert_allclose(found, np.concatenate(wanted, axis=1), atol=1e-4)
    assert field.provides() == {"in_features": found.shape[1]} == {"in_features": 2 * wanted[0].shape[1]}
    batch = field.collate("a", [found, None])
    assert batch["a"].shape == (2, len(found), found.shape[1]) and field.specs("a")["a"].shape[2] == found.shape[1]
    mono = field((sounds[:, 0].copy(), rate))
    np.testing.assert_array_equal(mono, np.concatenate([wanted[0]] * 2, axis=1))


def test_two_channels_are_cut_and_augmented_alike():
    steps = [AudioSpeed(), AudioShift(20.0), AudioNoise((5.0, 20.0))]
    settings = {"n_mels": 16, "trim_db": 40.0, "seconds": 0.3, "normalize": False, "augment": steps}
    left = np.concatenate([np.zeros(2000), np.random.default_rng(0).normal(0, 0.1, 4000), np.zeros(900)])
    stereo = np.stack([left, left], axis=1).astype(np.float32)
    both, mono = LogMel(8000, channel="both", **settings), LogMel(8000, **settings)
    for seed in range(5):
        found = both((stereo, 8000), np.random.default_rng(seed))
        alone = mono((stereo[:, 0], 8000), np.random.default_rng(seed))
        np.testing.assert_array_equal(found, np.concatenate([alone, alone], axis=1))
    # Silence is what is silent in both.
    late = np.stack([left, np.roll(left, 800)], axis=1).astype(np.float32)
    assert len(LogMel(8000, channel="both", trim_db=40.0)((late, 8000))) == 1 + 4960 // 80  # whole blocks of 160


def test_a_waveform_has_one_channel():
    with pytest.raises(ConfigError, match="a waveform has one channel"):
        Waveform(8000, channel="both")


def test_the_field_tells_the_rate_to_its_augmentations():
    field = Waveform(1000, augment=[AudioShift(2.0)])
    assert field.augment[0].sample_rate == 1000
    firsts = {int(np.argmax(field((np.eye(9)[4], 1000), np.random.default_rng(seed)))) for seed in range(99)}
    assert firsts == {2, 3, 4, 5, 6}


@pytest.mark.parametrize("settings", [{"seconds": 0.0}, {"trim_db": 0.0}, {"max_seconds": -1.0}, {"sample_rate": 10}])
def test_wrong_settings(settings):
    with pytest.raises(ConfigError):
        Waveform(**{"sample_rate": 8000, **settings})
