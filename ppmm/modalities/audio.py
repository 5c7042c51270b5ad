"""Recordings as log-mel spectrograms, computed with paddleaudio's NumPy functions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio_file import load_mono
from ppmm.modalities.field import FieldBase, pad_ragged
from ppmm.registry import FIELDS
from ppmm.types import Augmentation, FieldSpec

__all__ = ["LogMel", "check_sample_rates"]

TOP_DB = 80.0
MIN_STD_DB = 1e-3


@FIELDS.register("log_mel")
class LogMel(FieldBase):
    """Recording -> log-mel spectrogram float32 [T, M], one frame per hop, the first centred on the first sample.

    Equals ``paddleaudio.compliance.librosa.melspectrogram`` (Hann window as long as the FFT, Slaney mel scale, power)
    in dB with a floor 80 dB below the loudest cell, then optionally standardised.

    Args:
        sample_rate: recordings are resampled to it, Hz.
        n_mels: number of mel bands M.
        window_ms: window and FFT length, milliseconds.
        hop_ms: step between frames, milliseconds.
        f_min: lowest frequency of the first band, Hz.
        f_max: highest frequency of the last band, Hz; None for half the sample rate.
        max_seconds: refuse longer recordings.
        min_frames: batches are padded to at least so many frames.
        normalize: subtract the mean of the utterance and divide by its standard deviation, both over all its cells;
            silence becomes zeros.
        augment: applied in training to the waveform float32 [T].
        augment_features: applied in training to the (normalised) features float32 [T, M].
    """

    kind = "audio"

    def __init__(
        self,
        sample_rate: int,
        n_mels: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        f_min: float = 0.0,
        f_max: float | None = None,
        max_seconds: float = 30.0,
        min_frames: int = 16,
        normalize: bool = True,
        augment: list[Augmentation] | None = None,
        augment_features: list[Augmentation] | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.n_mels = n_mels
        self.window = round(sample_rate * window_ms / 1000.0)
        self.hop = round(sample_rate * hop_ms / 1000.0)
        self.f_min = f_min
        self.f_max = sample_rate / 2.0 if f_max is None else f_max
        self.max_seconds = max_seconds
        self.min_frames = min_frames
        self.normalize = normalize
        self.augment = list(augment or [])
        self.augment_features = list(augment_features or [])
        self._check()

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Read one recording and compute its features.

        Args:
            value: str or Path, bytes of an audio file, or (float array [T] or [T, channels], rate in Hz).
            rng: augments when given.

        Returns:
            float32 [T, M].

        Raises:
            DataError: the value is not a recording that can be read.
            ConfigError: the window is too short for so many mel bands.
        """
        wave = load_mono(value, self.sample_rate, self.max_seconds)
        if rng is not None:
            for step in self.augment:
                wave = step(wave, rng)
        features = self._features(wave)
        if rng is not None:
            for step in self.augment_features:
                features = step(features, rng)
        return features

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, T, M] float32, ``name_mask`` [B, T] bool, ``has_name`` [B] bool."""
        return pad_ragged(name, arrays, (self.n_mels,), "float32", self.min_frames)

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        return {
            name: FieldSpec((None, None, self.n_mels), "float32"),
            f"{name}_mask": FieldSpec((None, None), "bool"),
            f"has_{name}": FieldSpec((None,), "bool"),
        }

    def provides(self) -> dict[str, int]:
        """``in_features`` for an audio encoder: the number of mel bands."""
        return {"in_features": self.n_mels}

    def _features(self, wave: np.ndarray) -> np.ndarray:
        """float32 [time] -> float32 [T, M]."""
        from paddleaudio.compliance import librosa

        filters = _mel_filters(self.sample_rate, self.window, self.n_mels, self.f_min, self.f_max)
        if len(wave) < self.window:
            wave = np.pad(wave, (0, self.window - len(wave)))
        spectrum = librosa.stft(wave, n_fft=self.window, hop_length=self.hop)
        decibels = librosa.power_to_db(filters @ np.abs(spectrum) ** 2, top_db=TOP_DB).T
        if self.normalize:
            decibels = decibels - decibels.mean(dtype=np.float64)
            spread = float(decibels.std())
            decibels = decibels / spread if spread > MIN_STD_DB else np.zeros_like(decibels)
        return np.ascontiguousarray(decibels, dtype=np.float32)

    def _check(self) -> None:
        """Raises ConfigError for settings that contradict each other."""
        half = self.sample_rate / 2.0
        problems = []
        if self.sample_rate < 1000:
            problems.append(f"sample_rate: {self.sample_rate} is in Hz and must be at least 1000")
        if self.window < 8 or self.hop < 1:
            problems.append(f"window_ms, hop_ms: {self.window} and {self.hop} samples are too short")
        if self.n_mels < 1 or self.min_frames < 1 or self.max_seconds <= 0:
            problems.append("n_mels, min_frames, max_seconds: must be positive")
        if not 0 <= self.f_min < self.f_max <= half:
            problems.append(f"f_min, f_max: 0 <= {self.f_min:g} < {self.f_max:g} <= {half:g} Hz does not hold")
        if problems:
            raise ConfigError(problems)
        check_sample_rates(self.augment, self.sample_rate)


def check_sample_rates(augment: Sequence[Augmentation], sample_rate: int) -> None:
    """Augmentations that count in milliseconds bear a rate. Raises ConfigError when it is not that of the field."""
    for step in augment:
        rate = getattr(step, "sample_rate", sample_rate)
        if rate != sample_rate:
            raise ConfigError(f"augment: {type(step).__name__} has sample_rate {rate}, the field {sample_rate}")


@functools.lru_cache(maxsize=32)
def _mel_filters(sample_rate: int, window: int, n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """Mel filter bank float32 [M, window // 2 + 1]; kept, since computing it costs more than using it."""
    from paddleaudio.compliance import librosa

    filters = librosa.compute_fbank_matrix(sample_rate, window, n_mels=n_mels, fmin=f_min, fmax=f_max)
    if not (filters.max(axis=1) > 0).all():
        raise ConfigError(
            f"n_mels: {n_mels} bands are too many for a window of {window} samples: some are empty; "
            "take fewer bands or a longer window_ms"
        )
    filters.setflags(write=False)
    return filters
