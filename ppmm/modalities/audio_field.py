"""What every audio field does before features: read, choose a channel, trim, augment, cut."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio_file import load_mono, load_stereo
from ppmm.modalities.augmenting import apply_steps, take_steps
from ppmm.modalities.field import FieldBase
from ppmm.types import Augmentation

__all__ = ["AudioField", "Channel", "cut", "cut_start", "sound_span", "trim_silence"]

Channel = Literal["mix", "left", "right", "both"]
BLOCK_SECONDS = 0.02


class AudioField(FieldBase):
    """Base of the audio fields; not registered.

    Args:
        sample_rate: recordings are resampled to it, Hz.
        max_seconds: refuse longer recordings.
        seconds: cut longer recordings to this, at a random place in training and in the middle otherwise, and pad
            batches to it, with the mask telling which part is real; None keeps every recording whole.
        trim_db: cut silence off both ends, see `trim_silence`; None keeps it.
        channel: ``mix`` averages the channels, ``left`` and ``right`` take one, ``both`` keeps the first two apart; a
            mono recording is the same in all.
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

    def _waves(self, value: Any, rng: np.random.Generator | None) -> list[np.ndarray]:
        """float32 [time] of each channel that is kept, equally long. Raises DataError.

        Two channels are cut at the same places and augmented with the same draws.
        """
        if self.channel == "both":
            stereo = load_stereo(value, self.sample_rate, self.max_seconds)
            level = np.sqrt((stereo.astype(np.float64) ** 2).mean(axis=1))
            waves = list(np.ascontiguousarray(stereo.T))
        else:
            level = load_mono(value, self.sample_rate, self.max_seconds, self.channel)
            waves = [level]
        if self.trim_db is not None:
            start, stop = sound_span(level, self.trim_db, self.sample_rate)
            waves = [wave[start:stop] for wave in waves]
        draws = [*(copy.deepcopy(rng) for _ in waves[1:]), rng]
        waves = [apply_steps(self.augment, wave, own) for wave, own in zip(waves, draws, strict=True)]
        if self.length is None:
            return waves
        place = cut_start(len(waves[0]), self.length, rng)
        return [wave[place : place + self.length] for wave in waves]


def sound_span(wave: np.ndarray, trim_db: float, sample_rate: int) -> tuple[int, int]:
    """The samples between silence at both ends, (first, end).

    Blocks of 20 ms whose mean power is more than ``trim_db`` below that of the loudest block are silence; what lies
    between the first and the last other block stays. A recording without any sound stays whole.

    Args:
        wave: float [time].
        trim_db: dB below the loudest block.
        sample_rate: Hz.
    """
    block = max(1, round(BLOCK_SECONDS * sample_rate))
    starts = np.arange(0, len(wave), block)
    sizes = np.diff(np.append(starts, len(wave)))
    power = np.add.reduceat(wave.astype(np.float64) ** 2, starts) / sizes
    sound = np.flatnonzero(power > power.max() * 10.0 ** (-trim_db / 10.0))
    return (0, len(wave)) if len(sound) == 0 else (int(sound[0]) * block, int(sound[-1] + 1) * block)


def trim_silence(wave: np.ndarray, trim_db: float, sample_rate: int) -> np.ndarray:
    """float32 [time] without silence at both ends, see `sound_span`; at least one sample."""
    start, stop = sound_span(wave, trim_db, sample_rate)
    return wave[start:stop]


def cut(wave: np.ndarray, length: int, rng: np.random.Generator | None) -> np.ndarray:
    """At most ``length`` samples of float [time], see `cut_start`."""
    if len(wave) <= length:
        return wave
    start = cut_start(len(wave), length, rng)
    return wave[start : start + length]


def cut_start(samples: int, length: int, rng: np.random.Generator | None) -> int:
    """Where to cut ``length`` samples out: at a random place with ``rng``, in the middle without."""
    spare = max(0, samples - length)
    return spare // 2 if rng is None or spare == 0 else int(rng.integers(spare + 1))
