"""Random changes of waveforms float32 [time]. Their field tells those that count in seconds its rate (`at_rate`)."""

from __future__ import annotations

import copy

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio_file import resample
from ppmm.modalities.noise_files import noise_section
from ppmm.registry import AUGMENTATIONS

__all__ = ["AudioGain", "AudioNoise", "AudioShift", "AudioSpeed", "add_noise", "mix_noise"]


def add_noise(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise at a signal-to-noise ratio in dB, over the mean power; silence stays silent."""
    power = float(np.mean(wave.astype(np.float64) ** 2))
    noise = rng.standard_normal(wave.shape) * np.sqrt(power * 10.0 ** (-snr_db / 10.0))
    return (wave + noise).astype(np.float32)


def mix_noise(wave: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add ``noise`` [time], scaled so that mean power of wave / mean power of noise is ``snr_db``; both [time].

    Where either is silent, the wave comes back as it was.
    """
    signal = float(np.mean(wave.astype(np.float64) ** 2))
    power = float(np.mean(noise.astype(np.float64) ** 2))
    if signal == 0.0 or power == 0.0:
        return wave
    return (wave + noise * np.sqrt(signal / power * 10.0 ** (-snr_db / 10.0))).astype(np.float32)


@AUGMENTATIONS.register("audio_gain")
class AudioGain:
    """Louder or softer by up to ``decibels``."""

    kind = "waveform"

    def __init__(self, decibels: float) -> None:
        if decibels < 0:
            raise ConfigError(f"decibels: {decibels} must not be negative; the gain is drawn from -decibels..+decibels")
        self.decibels = decibels

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [time]."""
        gain = 10.0 ** (rng.uniform(-self.decibels, self.decibels) / 20.0)
        return (array * gain).astype(np.float32, copy=False)


@AUGMENTATIONS.register("audio_noise")
class AudioNoise:
    """Noise at a signal-to-noise ratio drawn from ``snr_db`` = (lowest, highest), in dB.

    Args:
        snr_db: (lowest, highest), over the mean power of the recording and of the noise.
        path: a recording of noise or a folder of them (searched below too); a random section of a random one is
            taken, repeated where it is too short. None for white Gaussian noise.
    """

    kind = "waveform"

    def __init__(self, snr_db: tuple[float, float], path: str | None = None) -> None:
        low, high = snr_db
        if low > high:
            raise ConfigError(f"snr_db: [{low:g}, {high:g}] must be [lowest, highest]")
        self.snr_db = (low, high)
        self.path = path
        self.sample_rate: int | None = None

    def at_rate(self, sample_rate: int) -> AudioNoise:
        """The same for waveforms of ``sample_rate`` Hz, to which noise files are resampled."""
        bound = copy.copy(self)
        bound.sample_rate = sample_rate
        return bound

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [time]. Raises DataError when there are no noise files or one cannot be read."""
        snr_db = rng.uniform(*self.snr_db)
        if self.path is None:
            return add_noise(array, snr_db, rng)
        return mix_noise(array, noise_section(self.path, known_rate(self.sample_rate), len(array), rng), snr_db)


@AUGMENTATIONS.register("audio_shift")
class AudioShift:
    """Move the sound earlier or later by up to ``milliseconds``; the gap is filled with silence."""

    kind = "waveform"

    def __init__(self, milliseconds: float) -> None:
        if milliseconds < 0:
            raise ConfigError(f"milliseconds: {milliseconds:g} must not be negative")
        self.milliseconds = milliseconds
        self.sample_rate: int | None = None

    def at_rate(self, sample_rate: int) -> AudioShift:
        """The same for waveforms of ``sample_rate`` Hz."""
        bound = copy.copy(self)
        bound.sample_rate = sample_rate
        return bound

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [time]."""
        farthest = round(known_rate(self.sample_rate) * self.milliseconds / 1000.0)
        shift = int(rng.integers(-farthest, farthest + 1))
        moved = np.zeros_like(array)
        if abs(shift) >= len(array):
            return moved
        if shift >= 0:
            moved[shift:] = array[: len(array) - shift]
        else:
            moved[:shift] = array[-shift:]
        return moved


@AUGMENTATIONS.register("audio_speed")
class AudioSpeed:
    """Play faster or slower, pitch included, by one of ``factors`` (Ko et al. 2015, Audio Augmentation for Speech
    Recognition: 0.9, 1.0 and 1.1). The length becomes time / factor."""

    kind = "waveform"

    def __init__(self, factors: list[float] | None = None) -> None:
        self.factors = [0.9, 1.0, 1.1] if factors is None else list(factors)
        if not self.factors or not all(0.25 <= factor <= 4.0 for factor in self.factors):
            raise ConfigError(f"factors: {self.factors} must be one or more numbers from 0.25 to 4")

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time] -> [about time / factor]; at least one sample."""
        factor = self.factors[int(rng.integers(len(self.factors)))]
        return resample(array, round(1000 * factor), 1000)


def known_rate(sample_rate: int | None) -> int:
    """Raises ConfigError where an augmentation is used outside a field and nobody told it the rate."""
    if sample_rate is None:
        raise ConfigError("this augmentation counts in seconds: call at_rate(rate) first, as audio fields do")
    return sample_rate
