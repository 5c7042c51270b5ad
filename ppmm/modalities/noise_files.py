"""Own recordings of noise, to be mixed under speech and sounds."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ppmm.errors import DataError
from ppmm.modalities.audio_file import load_mono

__all__ = ["noise_section"]

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MAX_NOISE_SECONDS = 600.0


def noise_section(path: str, sample_rate: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """A random section of a random recording.

    Args:
        path: a recording, or a folder with WAV, FLAC, OGG or MP3 files in it or below.
        sample_rate: wanted rate, Hz.
        length: wanted samples; a shorter recording is repeated.
        rng: draws the file, then the start.

    Returns:
        float32 [length].

    Raises:
        DataError: nothing there, or a file that cannot be read or is longer than 10 minutes.
    """
    files = _noise_files(path)
    noise = _noise(files[int(rng.integers(len(files)))], sample_rate)
    start = int(rng.integers(max(len(noise) - length, 0) + 1 if len(noise) >= length else len(noise)))
    return np.take(noise, np.arange(start, start + length), mode="wrap")


@functools.lru_cache(maxsize=16)
def _noise_files(path: str) -> tuple[str, ...]:
    """Sorted, so that a seed means the same file everywhere. Raises DataError."""
    place = Path(path)
    if not place.is_dir():
        return (path,)
    found = sorted(str(file) for file in place.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"noise folder '{path}' holds no {', '.join(SUFFIXES)} file")
    return tuple(found)


@functools.lru_cache(maxsize=32)
def _noise(path: str, sample_rate: int) -> np.ndarray:
    """Kept, since decoding noise again for every sample would cost more than decoding the samples."""
    noise = load_mono(path, sample_rate, MAX_NOISE_SECONDS)
    noise.setflags(write=False)
    return noise
