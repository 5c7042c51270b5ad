"""What every audio field does before features: read, choose a channel, trim, augment, cut."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio_file import load_mono
from ppmm.modalities.augmenting import apply_steps, take_steps
from ppmm.modalities.field import FieldBase
from ppmm.types import Augmentation

__all__ = ["AudioField", "Channel", "cut", "trim_silence"]

Channel = Literal["mix", "left", "right"]
BLOCK_SECONDS = 0.02


class AudioField(FieldBase):
    """Base of the audio fields; not registered.

    Args:
        sample_rate: recordings are resampled to it, Hz.
        max_seconds: refuse longer recordings.
        seconds: cut longer recordings to this, at a random place in training and in the middle otherwise, and pad
            batches to it, with the mask telling which part is real; None keeps every recording whole.
        trim_db: cut silence off both ends, see `trim_silence`; None keeps it.
        channel: ``mix`` averages the channels, ``left`` and ``right`` take one; a mono recording is the same in all.
        augment: applied in training to the waveform float32 [T], after trimming.
    """

    kind = "audio"

    def __init__(
        self, sample_rate: int, max_seconds: float, seconds: float | None, trim_db: float | None, channel: Channel,
        augment: list[Augmentation] | None,
    ) -> None:  # fmt: skip
        problems = []
        if sample_rate < 1000:
            problems.append(f"sample_rate: {sample_rate} is in Hz and must be at least 1000")
        if max_seconds <= 0 or (seconds is not None and seconds <= 0):
            problems.append("max_seconds, seconds: must be positive")
        if trim_db is not None and trim_db <= 0:
            problems.append(f"trim_db: {trim_db:g} must be positive: so much softer than the loudest part is silence")
        if problems:
            raise ConfigError(problems)
        self.sample_rate = sample_rate
        self.max_seconds = max_seconds
        self.length = None if seconds is None else max(1, round(seconds * sample_rate))
        self.trim_db = trim_db
        self.channel: Channel = channel
        self.augment = take_steps(augment, "waveform", "augment", sample_rate)

    def _wave(self, value: Any, rng: np.random.Generator | None) -> np.ndarray:
        """float32 [time] of one recording. Raises DataError."""
        wave = load_mono(value, self.sample_rate, self.max_seconds, self.channel)
        if self.trim_db is not None:
            wave = trim_silence(wave, self.trim_db, self.sample_rate)
        wave = apply_steps(self.augment, wave, rng)
        return wave if self.length is None else cut(wave, self.length, rng)


def trim_silence(wave: np.ndarray, trim_db: float, sample_rate: int) -> np.ndarray:
    """Cut silence off both ends.

    Blocks of 20 ms whose mean power is more than ``trim_db`` below that of the loudest block are silence; what lies
    between the first and the last other block stays. A recording without any sound stays whole.

    Args:
        wave: float32 [time].
        trim_db: dB below the loudest block.
        sample_rate: Hz.

    Returns:
        float32 [at most time], at least one sample.
    """
    block = max(1, round(BLOCK_SECONDS * sample_rate))
    starts = np.arange(0, len(wave), block)
    sizes = np.diff(np.append(starts, len(wave)))
    power = np.add.reduceat(wave.astype(np.float64) ** 2, starts) / sizes
    sound = np.flatnonzero(power > power.max() * 10.0 ** (-trim_db / 10.0))
    return wave if len(sound) == 0 else wave[sound[0] * block : (sound[-1] + 1) * block]


def cut(wave: np.ndarray, length: int, rng: np.random.Generator | None) -> np.ndarray:
    """At most ``length`` samples of float [time]: from a random place with ``rng``, from the middle without."""
    spare = len(wave) - length
    if spare <= 0:
        return wave
    start = spare // 2 if rng is None else int(rng.integers(spare + 1))
    return wave[start : start + length]
