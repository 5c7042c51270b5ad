"""Recordings as spectral features, computed in NumPy with paddleaudio's definitions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio_field import AudioField, Channel
from ppmm.modalities.augmenting import apply_steps, take_steps
from ppmm.modalities.field import pad_ragged
from ppmm.registry import FIELDS
from ppmm.types import Augmentation, FieldSpec

__all__ = ["LogMel", "Mfcc", "SpectralField"]

TOP_DB = 80.0
MIN_STD = 1e-3


class SpectralField(AudioField):
    """Recording -> features float32 [T, M]; the subclass says which. Not registered.

    Args:
        sample_rate: recordings are resampled to it, Hz.
        n_mels: number of mel bands M.
        window_ms: window length, milliseconds.
        hop_ms: step between frames, milliseconds.
        f_min: lowest frequency of the first band, Hz.
        f_max: highest frequency of the last band, Hz; None for half the sample rate.
        max_seconds: refuse longer recordings.
        min_frames: batches are padded to at least so many frames.
        normalize: subtract the mean and divide by the standard deviation of the utterance; silence becomes zeros.
        seconds: cut longer recordings to this, at a random place in training and in the middle otherwise, and pad
            batches to it; None keeps every recording whole.
        trim_db: cut what is so many dB softer than the loudest part off both ends; None keeps it.
        channel: ``mix`` averages the channels, ``left`` and ``right`` take one; ``both`` gives M features of the left
            and then M of the right channel, which keeps their difference in level.
        augment: applied in training to the waveform float32 [T].
        augment_features: applied in training to the (normalised) features float32 [T, M].
    """

    bands: int
    """Features per frame and channel."""

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
        seconds: float | None = None,
        trim_db: float | None = None,
        channel: Channel = "mix",
        augment: list[Augmentation] | None = None,
        augment_features: list[Augmentation] | None = None,
    ) -> None:
        super().__init__(sample_rate, max_seconds, seconds, trim_db, channel, augment)
        self.n_mels = self.bands = n_mels
        self.window = round(sample_rate * window_ms / 1000.0)
        self.hop = round(sample_rate * hop_ms / 1000.0)
        self.f_min = f_min
        self.f_max = sample_rate / 2.0 if f_max is None else f_max
        self.min_frames = min_frames
        self.normalize = normalize
        self.augment_features = take_steps(augment_features, "features", "augment_features", sample_rate)
        self._check()

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Read one recording and compute its features.

        Args:
            value: str or Path, bytes of an audio file, or (float array [T] or [T, channels], rate in Hz).
            rng: augments when given.

        Returns:
            float32 [T, M], or [T, 2 M] of two channels.

        Raises:
            DataError: the value is not a recording that can be read.
            ConfigError: the window is too short for so many mel bands.
        """
        padded = (np.pad(wave, (0, max(0, self.window - len(wave)))) for wave in self._waves(value, rng))
        features = np.concatenate([self._features(wave) for wave in padded], axis=1)
        if self.normalize:
            features = self._normalised(features)
        return apply_steps(self.augment_features, np.ascontiguousarray(features, dtype=np.float32), rng)

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, T, M] float32, ``name_mask`` [B, T] bool, ``has_name`` [B] bool."""
        frames = self.min_frames if self.length is None else max(self.min_frames, self._frames(self.length))
        return pad_ragged(name, arrays, (self._width,), "float32", frames)

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        return {
            name: FieldSpec((None, None, self._width), "float32"),
            f"{name}_mask": FieldSpec((None, None), "bool"),
            f"has_{name}": FieldSpec((None,), "bool"),
        }

    def provides(self) -> dict[str, int]:
        """``in_features`` for an audio encoder: the number of features per frame."""
        return {"in_features": self._width}

    @property
    def _width(self) -> int:
        """Features per frame."""
        return self.bands * (2 if self.channel == "both" else 1)

    def _features(self, wave: np.ndarray) -> np.ndarray:
        """float32 [time], at least a window -> [T, M]."""
        raise NotImplementedError

    def _frames(self, samples: int) -> int:
        """Frames of so many samples; one is centred on the first of them."""
        return 1 + max(samples, self.window) // self.hop

    def _normalised(self, features: np.ndarray) -> np.ndarray:
        """Zero mean and unit spread over all cells of [T, M]."""
        features = features - features.mean(dtype=np.float64)
        spread = float(features.std())
        return features / spread if spread > MIN_STD else np.zeros_like(features)

    def _decibels(self, wave: np.ndarray) -> np.ndarray:
        """Log-mel spectrogram [M, T] in dB."""
        from paddleaudio.compliance import librosa

        filters = _mel_filters(self.sample_rate, self.window, self.n_mels, self.f_min, self.f_max)
        spectrum = librosa.stft(wave, n_fft=self.window, hop_length=self.hop)
        return librosa.power_to_db(filters @ np.abs(spectrum) ** 2, top_db=TOP_DB)

    def _check(self) -> None:
        """Raises ConfigError for settings that contradict each other."""
        half = self.sample_rate / 2.0
        problems = []
        if self.window < 8 or self.hop < 1:
            problems.append(f"window_ms, hop_ms: {self.window} and {self.hop} samples are too short")
        if self.n_mels < 1 or self.min_frames < 1:
            problems.append("n_mels, min_frames: must be positive")
        if not 0 <= self.f_min < self.f_max <= half:
            problems.append(f"f_min, f_max: 0 <= {self.f_min:g} < {self.f_max:g} <= {half:g} Hz does not hold")
        if problems:
            raise ConfigError(problems)


@FIELDS.register("log_mel")
class LogMel(SpectralField):
    """Recording -> log-mel spectrogram float32 [T, M], one frame per hop, the first centred on the first sample.

    Equals ``paddleaudio.compliance.librosa.melspectrogram`` (Hann window as long as the FFT, Slaney mel scale, power)
    in dB with a floor 80 dB below the loudest cell, then optionally standardised over all its cells. Arguments as
    `SpectralField`.
    """

    def _features(self, wave: np.ndarray) -> np.ndarray:
        return self._decibels(wave).T


@FIELDS.register("mfcc")
class Mfcc(SpectralField):
    """Recording -> mel-frequency cepstral coefficients float32 [T, C], one frame per hop.

    Equals ``paddleaudio.compliance.librosa.mfcc``: the first C values of the orthonormal DCT-II of `LogMel` without
    standardisation (Davis and Mermelstein 1980). ``normalize`` standardises each coefficient over time.

    Args:
        sample_rate: recordings are resampled to it, Hz.
        n_mfcc: number of coefficients C.
        n_mels: number of mel bands under them; the others as `SpectralField`.
        normalize: zero mean and unit variance of each coefficient; one that does not change becomes zeros.
    """

    def __init__(
        self,
        sample_rate: int,
        n_mfcc: int = 20,
        n_mels: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        f_min: float = 0.0,
        f_max: float | None = None,
        max_seconds: float = 30.0,
        min_frames: int = 16,
        normalize: bool = True,
        seconds: float | None = None,
        trim_db: float | None = None,
        channel: Channel = "mix",
        augment: list[Augmentation] | None = None,
        augment_features: list[Augmentation] | None = None,
    ) -> None:
        super().__init__(
            sample_rate, n_mels, window_ms, hop_ms, f_min, f_max, max_seconds, min_frames, normalize, seconds, trim_db,
            channel, augment, augment_features,
        )  # fmt: skip
        if not 1 <= n_mfcc <= n_mels:
            raise ConfigError(f"n_mfcc: {n_mfcc} must be from 1 to n_mels = {n_mels}")
        self.bands = n_mfcc

    def _features(self, wave: np.ndarray) -> np.ndarray:
        from paddleaudio.compliance import librosa

        return librosa.mfcc(wave, sr=self.sample_rate, spect=self._decibels(wave), n_mfcc=self.bands).T

    def _normalised(self, features: np.ndarray) -> np.ndarray:
        features = features - features.mean(axis=0, dtype=np.float64)
        spread = features.std(axis=0)
        return np.where(spread > MIN_STD, features / np.maximum(spread, MIN_STD), 0.0)


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
