"""Audio augmentations: bounds and statistics."""

import numpy as np
import pytest

from ppmm.errors import ConfigError
from ppmm.modalities.audio_augment import AudioGain, AudioNoise, AudioShift, SpecMask, add_noise


def test_gain_stays_within_its_decibels():
    wave = np.array([0.5, -0.25], np.float32)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(200):
        louder = AudioGain(6.0)(wave, rng)
        assert np.isclose(louder[0] / louder[1], -2.0)
        gains.append(20 * np.log10(louder[0] / 0.5))
    assert -6.001 <= min(gains) < -5 and 5 < max(gains) <= 6.001


@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0])
def test_noise_has_the_wanted_ratio(snr):
    wave = np.sin(np.arange(40_000) * 0.1).astype(np.float32)
    noise = add_noise(wave, snr, np.random.default_rng(0)) - wave
    assert abs(10 * np.log10((wave**2).mean() / (noise**2).mean()) - snr) < 0.2


def test_noise_is_drawn_from_the_range_and_leaves_silence_alone():
    wave = np.sin(np.arange(8000) * 0.1).astype(np.float32)
    rng = np.random.default_rng(0)
    ratios = [
        10 * np.log10((wave**2).mean() / ((AudioNoise((10, 30))(wave, rng) - wave) ** 2).mean()) for _ in range(99)
    ]
    assert 9.5 < min(ratios) < 12 and 28 < max(ratios) < 30.5
    assert not AudioNoise((10, 30))(np.zeros(100, np.float32), rng).any()


def test_shift_moves_and_fills_with_silence():
    wave = np.arange(1, 11, dtype=np.float32)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        moved = AudioShift(2.0, 1000)(wave, rng)
        shift = int(5 - moved[4]) if moved[4] else None
        padded = np.concatenate([np.zeros(2), wave, np.zeros(2)])
        assert np.array_equal(moved, padded[2 - shift : 12 - shift])
        seen.add(shift)
    assert seen == {-2, -1, 0, 1, 2}
    assert AudioShift(1000.0, 1000)(wave[:1], np.random.default_rng(0)).shape == (1,)


def test_spec_mask_hides_at_most_one_band_of_each():
    features = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    rng = np.random.default_rng(1)
    rows, columns = [], []
    for _ in range(100):
        masked = SpecMask(5, 3)(features, rng)
        hidden = masked != features
        full_rows, full_columns = hidden.all(axis=1), hidden.all(axis=0)
        assert np.array_equal(hidden, full_rows[:, None] | full_columns[None, :])
        assert np.allclose(masked[hidden], features.mean())
        rows.append(full_rows.sum())
        columns.append(full_columns.sum())
    assert max(rows) == 5 and max(columns) == 3 and min(rows) == 0
    short = SpecMask(50, 50)(features[:1], rng)
    assert short.shape == (1, 12) and (short == features[:1]).any()


@pytest.mark.parametrize("step", [AudioGain(6), AudioNoise((0, 20)), AudioShift(5, 1000)])
def test_same_generator_same_result(step):
    wave = np.random.default_rng(2).normal(size=200).astype(np.float32)
    first, second = (step(wave, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second) and first.dtype == np.float32


@pytest.mark.parametrize(
    "make", [lambda: AudioGain(-1), lambda: AudioNoise((5, 1)), lambda: AudioShift(-1, 8000), lambda: SpecMask(-1, 0)]
)
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()
