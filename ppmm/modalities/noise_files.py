"""Own recordings of noise, to be mixed under speech and sounds."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ppmm.errors import DataError
from ppmm.modalities.audio_file import load_mono
from ppmm.modalities.file_source import check_file

__all__ = ["noise_section"]

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def noise_section(path: str, sample_rate: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """A random section of a random recording; only that section is read.

    Args:
        path: a recording, or a folder with WAV, FLAC, OGG or MP3 files in it or below.
        sample_rate: wanted rate, Hz.
        length: wanted samples; a shorter recording is repeated.
        rng: draws the file, then the start.

    Returns:
        float32 [length].

    Raises:
        DataError: nothing there, or a file that cannot be read.
    """
    import soundfile

    files = _noise_files(path)
    file = check_file(files[int(rng.integers(len(files)))], "noise")
    try:
        with soundfile.SoundFile(str(file)) as recording:
            wanted = -(-length * recording.samplerate // sample_rate)
            spare = max(recording.frames - wanted, 0)
            recording.seek(int(rng.integers(spare + 1)))
            samples = recording.read(frames=wanted, dtype="float32", always_2d=True)
            rate = int(recording.samplerate)
    except (RuntimeError, TypeError, ValueError, OSError) as error:
        raise DataError(f"noise '{file}' cannot be read (give WAV, FLAC, OGG or MP3): {error}") from error
    noise = load_mono((samples, rate), sample_rate, 1.0 + len(samples) / rate)
    offset = int(rng.integers(len(noise))) if spare == 0 else 0
    return np.take(noise, np.arange(offset, offset + length), mode="wrap")


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
