"""Audio augmentations: bounds and statistics."""

import numpy as np
import pytest
import soundfile

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.audio_augment import AudioGain, AudioNoise, AudioShift, AudioSpeed, add_noise, mix_noise
from ppmm.modalities.feature_augment import SpecMask, SpecWarp, warp_time
from ppmm.modalities.noise_files import noise_section


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
        moved = AudioShift(2.0).at_rate(1000)(wave, rng)
        shift = int(5 - moved[4]) if moved[4] else None
        padded = np.concatenate([np.zeros(2), wave, np.zeros(2)])
        assert np.array_equal(moved, padded[2 - shift : 12 - shift])
        seen.add(shift)
    assert seen == {-2, -1, 0, 1, 2}
    assert AudioShift(1000.0).at_rate(1000)(wave[:1], np.random.default_rng(0)).shape == (1,)


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


def test_warp_time_by_hand():
    frames = np.arange(9.0)[:, None] * [1.0, 10.0]
    # Frame 4 comes to stand at 2: the first half runs twice as fast, the second takes 6 frames for 4.
    found = warp_time(frames, 4, 2.0)
    np.testing.assert_allclose(found[:, 0], [0, 2, 4, 4 + 2 / 3, 4 + 4 / 3, 6, 6 + 2 / 3, 6 + 4 / 3, 8])
    np.testing.assert_allclose(found[:, 1], found[:, 0] * 10)
    np.testing.assert_allclose(warp_time(frames, 4, 4.0), frames)


def test_spec_warp_keeps_ends_and_order():
    ramp = np.repeat(np.arange(50, dtype=np.float32)[:, None], 3, axis=1)
    largest = 0.0
    for seed in range(200):
        found = SpecWarp(10)(ramp, np.random.default_rng(seed))
        assert found.shape == ramp.shape and found.dtype == np.float32
        assert (found[0] == 0).all() and (found[-1] == 49).all() and (np.diff(found[:, 0]) > 0).all()
        largest = max(largest, float(np.abs(found - ramp).max()))
    assert 8 < largest < 10
    for short in (1, 2, 3):
        assert SpecWarp(10)(ramp[:short], np.random.default_rng(0)).shape == (short, 3)
    with pytest.raises(ConfigError):
        SpecWarp(0)


@pytest.mark.parametrize("step", [AudioGain(6), AudioNoise((0, 20)), AudioShift(5).at_rate(1000)])
def test_same_generator_same_result(step):
    wave = np.random.default_rng(2).normal(size=200).astype(np.float32)
    first, second = (step(wave, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second) and first.dtype == np.float32


@pytest.mark.parametrize(
    "make", [lambda: AudioGain(-1), lambda: AudioNoise((5, 1)), lambda: AudioShift(-1), lambda: SpecMask(-1, 0)]
)
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()


def test_speed_changes_length_and_pitch():
    wave = np.sin(2 * np.pi * 0.05 * np.arange(9900)).astype(np.float32)
    rng = np.random.default_rng(0)
    lengths = {len(AudioSpeed()(wave, rng)) for _ in range(50)}
    assert lengths == {9000, 9900, 11000}
    fast = AudioSpeed([1.1])(wave, rng)
    assert np.abs(np.fft.rfft(fast)).argmax() == round(0.05 * 1.1 * 9000)
    assert AudioSpeed([1.0])(wave, rng) is wave and len(AudioSpeed([4.0])(wave[:1], rng)) == 1


def test_mixed_noise_has_the_wanted_ratio():
    wave, noise = np.array([0.3, -0.3, 0.3], np.float32), np.array([0.1, 0.1, -0.1], np.float32)
    # 20 dB: noise at a tenth of the amplitude
    np.testing.assert_allclose(mix_noise(wave, noise, 20.0), [0.33, -0.27, 0.27], atol=1e-6)
    assert mix_noise(wave, noise * 0, 20.0) is wave and not mix_noise(wave * 0, noise, 20.0).any()


def test_own_noise_files_are_resampled_cut_and_repeated(tmp_path):
    (tmp_path / "deep").mkdir()
    tone = np.sin(2 * np.pi * 400 * np.arange(4000) / 16000).astype(np.float32)
    soundfile.write(tmp_path / "deep" / "hum.flac", tone, 16000)
    (tmp_path / "readme.txt").write_text("no sound")
    step = AudioNoise((10, 10), str(tmp_path)).at_rate(8000)
    wave = np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32)
    added = step(wave, np.random.default_rng(0)) - wave
    ratio = 10 * np.log10((wave.astype(float) ** 2).mean() / (added.astype(float) ** 2).mean())
    assert abs(ratio - 10) < 0.01 and added.shape == (5000,)
    assert np.abs(np.fft.rfft(added)).argmax() == 400 * 5000 // 8000
    assert not np.array_equal(added, step(wave, np.random.default_rng(5)) - wave), "always the same section"


def test_a_section_of_a_long_noise_file(tmp_path):
    ramp = np.arange(30_000, dtype=np.float32) / 60_000
    soundfile.write(tmp_path / "ramp.wav", ramp, 8000, subtype="FLOAT")
    starts = []
    for seed in range(60):
        section = noise_section(str(tmp_path / "ramp.wav"), 8000, 1000, np.random.default_rng(seed))
        start = round(float(section[0]) * 60_000)
        np.testing.assert_allclose(section, ramp[start : start + 1000], atol=1e-7)
        starts.append(start)
    assert min(starts) < 3000 and max(starts) > 26_000
    (tmp_path / "bad.wav").write_bytes(b"RIFF no sound in here")
    with pytest.raises(DataError, match=r"bad\.wav' cannot be read"):
        noise_section(str(tmp_path / "bad.wav"), 8000, 10, np.random.default_rng(0))


def test_noise_files_that_are_not_there(tmp_path):
    rng, wave = np.random.default_rng(0), np.ones(10, np.float32)
    with pytest.raises(DataError, match=r"holds no \.wav"):
        AudioNoise((0, 1), str(tmp_path)).at_rate(8000)(wave, rng)
    with pytest.raises(DataError, match="does not exist"):
        AudioNoise((0, 1), str(tmp_path / "no.wav")).at_rate(8000)(wave, rng)
    with pytest.raises(ConfigError, match="at_rate"):
        AudioShift(5)(wave, rng)


def test_spec_augment_with_several_masks():
    features = np.random.default_rng(0).normal(size=(100, 80)).astype(np.float32)
    rng = np.random.default_rng(1)
    rows, columns = [], []
    for _ in range(200):
        hidden = SpecMask(70, 27, time_masks=2, freq_masks=2, time_share=0.2)(features, rng) != features
        rows.append(hidden.all(axis=1).sum())
        columns.append(hidden.all(axis=0).sum())
    assert 36 <= max(rows) <= 40, "two bands of at most 0.2 x 100 frames"
    assert 45 <= max(columns) <= 54, "two bands of at most 27"
    # expected width of one band: 10 of 100 frames, 13.5 of 80 bands; of two, less what overlaps
    assert 17 < np.mean(rows) < 20.5 and 22 < np.mean(columns) < 27


@pytest.mark.parametrize("make", [lambda: AudioSpeed([]), lambda: AudioSpeed([0.0]), lambda: SpecMask(1, 1, -1),
                                  lambda: SpecMask(1, 1, time_share=1.5)])  # fmt: skip
def test_wrong_settings_of_newer_ones(make):
    with pytest.raises(ConfigError):
        make()
