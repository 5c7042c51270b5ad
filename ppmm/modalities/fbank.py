"""Recordings as Kaldi's log filter banks, in NumPy."""

from __future__ import annotations

import functools

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio import SpectralField
from ppmm.registry import FIELDS

__all__ = ["Fbank"]

PREEMPHASIS = 0.97
POVEY_EXPONENT = 0.85
EPSILON = 1e-7  # of paddleaudio; Kaldi has 1.19e-7


@FIELDS.register("fbank")
class Fbank(SpectralField):
    """Recording -> natural logarithm of mel filter-bank energies float32 [T, M], as Kaldi's ``compute-fbank-feats``.

    Equals ``paddleaudio.compliance.kaldi.fbank`` with its defaults (no dither, mean of each frame removed,
    pre-emphasis 0.97, Povey window, FFT of the next power of two, HTK mel scale, only whole frames), which computes
    it with Paddle and so cannot serve here. Samples are in -1..1: Kaldi's own, in 16-bit units, are larger by
    2 ln 32768 = 20.8. Recordings shorter than a window are padded with zeros to one. ``normalize`` standardises over
    all cells. Arguments as `SpectralField`; 80 bands above 20 Hz are customary: ``n_mels: 80, f_min: 20``.
    """

    def _features(self, wave: np.ndarray) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(wave, self.window)[:: self.hop].astype(np.float64)
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = (frames - PREEMPHASIS * before) * np.hanning(self.window) ** POVEY_EXPONENT
        size = 1 << (self.window - 1).bit_length()
        power = np.abs(np.fft.rfft(frames, size)) ** 2
        filters = _kaldi_filters(self.sample_rate, size, self.n_mels, self.f_min, self.f_max)
        return np.log(np.maximum(power[:, :-1] @ filters.T, EPSILON))

    def _frames(self, samples: int) -> int:
        """Whole frames only."""
        return 1 + (max(samples, self.window) - self.window) // self.hop


@functools.lru_cache(maxsize=32)
def _kaldi_filters(sample_rate: int, size: int, n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """Triangles on the HTK mel scale, float64 [M, size / 2]: mel(f) = 1127 ln(1 + f / 700)."""
    low, high = _mel(np.array([f_min, f_max]))
    step = (high - low) / (n_mels + 1)
    left = low + step * np.arange(n_mels)[:, None]
    mels = _mel(np.arange(size // 2) * sample_rate / size)[None, :]
    filters = np.maximum(0.0, np.minimum(mels - left, left + 2 * step - mels) / step)
    if not (filters.max(axis=1) > 0).all():
        raise ConfigError(
            f"n_mels: {n_mels} bands are too many for an FFT of {size} samples: some are empty; "
            "take fewer bands or a longer window_ms"
        )
    filters.setflags(write=False)
    return filters


def _mel(hertz: np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(hertz / 700.0)
