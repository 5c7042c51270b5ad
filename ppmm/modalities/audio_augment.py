"""Random changes of waveforms float32 [time] and of features float32 [time, bands]."""

from __future__ import annotations

import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS

__all__ = ["AudioGain", "AudioNoise", "AudioShift", "SpecMask", "add_noise"]


def add_noise(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise at a signal-to-noise ratio in dB, over the mean power; silence stays silent."""
    power = float(np.mean(wave.astype(np.float64) ** 2))
    noise = rng.standard_normal(wave.shape) * np.sqrt(power * 10.0 ** (-snr_db / 10.0))
    return (wave + noise).astype(np.float32)


@AUGMENTATIONS.register("audio_gain")
class AudioGain:
    """Louder or softer by up to ``decibels``."""

    def __init__(self, decibels: float) -> None:
        if decibels < 0:
            raise ConfigError(f"decibels: {decibels} must not be negative; the gain is drawn from -decibels..+decibels")
        self.decibels = decibels

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [time]."""
        gain = 10.0 ** (rng.uniform(-self.decibels, self.decibels) / 20.0)
        return (array * gain).astype(np.float32)


@AUGMENTATIONS.register("audio_noise")
class AudioNoise:
    """White noise at a signal-to-noise ratio drawn from ``snr_db`` = (lowest, highest), in dB."""

    def __init__(self, snr_db: tuple[float, float]) -> None:
        low, high = snr_db
        if low > high:
            raise ConfigError(f"snr_db: [{low:g}, {high:g}] must be [lowest, highest]")
        self.snr_db = (low, high)

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [time]."""
        return add_noise(array, rng.uniform(*self.snr_db), rng)


@AUGMENTATIONS.register("audio_shift")
class AudioShift:
    """Move the sound earlier or later by up to ``milliseconds``; the gap is filled with silence.

    Args:
        milliseconds: largest shift.
        sample_rate: that of the field, Hz.
    """

    def __init__(self, milliseconds: float, sample_rate: int) -> None:
        if milliseconds < 0 or sample_rate < 1:
            raise ConfigError(f"milliseconds, sample_rate: {milliseconds:g} and {sample_rate} must be positive")
        self.sample_rate = sample_rate
        self.samples = round(sample_rate * milliseconds / 1000.0)

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [time]."""
        shift = int(rng.integers(-self.samples, self.samples + 1))
        moved = np.zeros_like(array)
        if abs(shift) >= len(array):
            return moved
        if shift >= 0:
            moved[shift:] = array[: len(array) - shift]
        else:
            moved[:shift] = array[-shift:]
        return moved


@AUGMENTATIONS.register("spec_mask")
class SpecMask:
    """One band of time and one of frequency set to the mean of the features (Park et al. 2019, SpecAugment).

    Args:
        time: widest band in frames; never more than half the frames.
        freq: widest band in mel bands; never more than half of them.
    """

    def __init__(self, time: int, freq: int) -> None:
        if time < 0 or freq < 0:
            raise ConfigError(f"time, freq: {time} and {freq} must not be negative")
        self.time = time
        self.freq = freq

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time, bands] -> [time, bands]."""
        masked, fill = array.copy(), array.mean()
        for axis, widest in enumerate((self.time, self.freq)):
            length = array.shape[axis]
            width = int(rng.integers(0, min(widest, length // 2) + 1))
            start = int(rng.integers(0, length - width + 1))
            if axis == 0:
                masked[start : start + width] = fill
            else:
                masked[:, start : start + width] = fill
        return masked
