"""A recording as a small picture of its spectrum: what its fingerprint is taken from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppmm.data.curate.picture_hash import Fingerprint, hash_picture
from ppmm.modalities.audio_file import load_mono

__all__ = ["hash_recording", "spectral_picture", "trim"]

RATE = 8000
WINDOW, HOP = 256, 64
BANDS = 32
FLOOR = 1e-3
"""Power below this share of the loudest cell is background: -30 dB."""
QUIET = 0.05
"""Amplitude envelope, as a share of its peak, below which both ends are cut off."""


def hash_recording(value: Any, max_seconds: float) -> Fingerprint:
    """Fingerprint of a path, bytes or (waveform, rate); hardly changed by gain, format, rate, faint noise or silence
    at both ends. Raises DataError."""
    return hash_picture(spectral_picture(load_mono(value, RATE, max_seconds)))


def spectral_picture(wave: np.ndarray) -> np.ndarray:
    """Trimmed log power in bands of equal width on the mel scale, -30..0 dB of the loudest.

    Args:
        wave: float32 [time] at 8 kHz.

    Returns:
        float32 [bands, frames]; zeros for silence.
    """
    wave = trim(wave)
    wave = np.pad(wave, (0, max(0, WINDOW + HOP - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    bands = power @ _bands().T
    loudest = float(bands.max())
    if loudest <= 0.0:
        return np.zeros((BANDS, len(bands)), dtype=np.float32)
    picture: np.ndarray = 10.0 * np.log10(np.maximum(bands / loudest, FLOOR)).T.astype(np.float32)
    return picture


def trim(wave: np.ndarray) -> np.ndarray:
    """Without the quiet ends: from the first to the last hop whose mean amplitude is above `QUIET` of the loudest."""
    length = len(wave) // HOP * HOP
    if length == 0:
        return wave
    envelope = np.abs(wave[:length]).reshape(-1, HOP).mean(axis=1)
    loud = np.flatnonzero(envelope > QUIET * envelope.max())
    return wave[loud[0] * HOP : (loud[-1] + 1) * HOP] if len(loud) else wave


def _bands() -> np.ndarray:
    """Triangles float64 [bands, WINDOW // 2 + 1], evenly spaced on O'Shaughnessy's mel scale from 100 Hz to 3.8 kHz."""
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (100.0, 3800.0))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    bins = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    width = RATE / WINDOW
    rising = (bins - edges[:-2, None]) / np.maximum(edges[1:-1, None] - edges[:-2, None], width)
    falling = (edges[2:, None] - bins) / np.maximum(edges[2:, None] - edges[1:-1, None], width)
    return np.clip(np.minimum(rising, falling), 0.0, 1.0)
