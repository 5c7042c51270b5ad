"""Recordings -> mono float waveforms at a wanted rate. The header is judged before a sample is read."""

from __future__ import annotations

import io
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.modalities.file_source import check_file

__all__ = ["BOTH", "load_mono", "load_stereo", "read_recording", "resample"]

MIN_RATE, MAX_RATE = 1_000, 192_000
MAX_CHANNELS = 8
BOTH = "both"
MAX_AMPLITUDE = 100.0
WAV_FORMATS = ("WAV", "WAVEX")
PCM_16_STEP = np.float32(1.0 / 32768.0)
# Writers to a pipe cannot know the length and state (nearly) the largest 32-bit one; that is no damage.
UNKNOWN_LENGTH = 0x7FFFFF00
SHORT_WAV = re.compile(r"^\s*data : (\d+) \(should be (\d+)\)", re.MULTILINE)
SHORT = {
    "WAV": SHORT_WAV,
    "WAVEX": SHORT_WAV,
    "AIFF": re.compile(r"^\s*SSND : (\d+) \(should be (\d+)\)", re.MULTILINE),
    "AU": re.compile(r"^\s*Data Size +: (\d+) \(should be (\d+)\)", re.MULTILINE),
    "W64": re.compile(r"^riff : (\d+) \(should be (\d+)\)", re.MULTILINE),
    "RF64": re.compile(r"^\s*Riff size : (\d+) \(should be (\d+)\)", re.MULTILINE),
}
"""What libsndfile notes of formats that state their length."""
SPHERE_HEADER = 1024
SAMPLE_COUNT = re.compile(rb"^sample_count -i (\d{1,15})\s", re.MULTILINE)


def load_mono(value: Any, sample_rate: int, max_seconds: float, channel: str = "mix") -> np.ndarray:
    """A recording as a waveform at ``sample_rate``.

    Args:
        value: str or Path, bytes of an audio file, or (float array [T] or [T, channels] in about -1..1, rate in Hz).
        sample_rate: wanted rate in Hz.
        max_seconds: refuse longer recordings.
        channel: ``mix`` averages the channels, ``left`` takes the first, ``right`` the second where there is one.

    Returns:
        float32 [time], finite, at least one sample.

    Raises:
        DataError: not a recording that can be read, empty, too long, or with NaN or infinite samples.
    """
    return _load(value, sample_rate, max_seconds, channel)


def load_stereo(value: Any, sample_rate: int, max_seconds: float) -> np.ndarray:
    """The first two channels float32 [time, 2], twice the same of a mono recording; else as `load_mono`."""
    return _load(value, sample_rate, max_seconds, BOTH)


def _load(value: Any, sample_rate: int, max_seconds: float, channel: str) -> np.ndarray:
    if isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], np.ndarray):
        samples, rate = _check_waveform(value[0], value[1], max_seconds, channel)
    else:
        samples, rate = read_recording(value, max_seconds, channel)
    return resample(samples, rate, sample_rate)


def read_recording(value: Any, max_seconds: float, channel: str = "mix") -> tuple[np.ndarray, int]:
    """Read a file (str, Path or bytes).

    Returns (mono float32 [time], or [time, 2] with the channel `BOTH`; rate in Hz). Raises DataError.
    """
    import soundfile

    if isinstance(value, str | Path):
        where = f"'{value}'"
        source: Any = str(check_file(value, "audio"))
    elif isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        where, source = f"of {len(content):,} bytes", io.BytesIO(content)
        if not content:
            raise DataError("audio is empty (0 bytes)")
    else:
        raise DataError(f"audio must be a path, bytes or (waveform, rate), not {type(value).__name__}")
    try:
        with soundfile.SoundFile(source) as recording:
            _check_header(recording, where, max_seconds)
            if recording.format == "NIST":
                _check_sphere(_head(value), recording.frames, where)
            samples = _read(recording, int(max_seconds * recording.samplerate) + 1)
            _check_length(recording, len(samples), where, max_seconds)
            rate = int(recording.samplerate)
    except (RuntimeError, TypeError, ValueError, OSError) as error:
        raise DataError(f"audio {where} cannot be read (give WAV, FLAC, OGG or MP3): {error}") from error
    return _channels(samples, f"audio {where}", channel), rate


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Polyphase resampling of float32 [time] or [time, channels] from ``rate`` to ``wanted`` Hz.

    Rates with a large common ratio (7,999 -> 8,000) are met within 0.1 %, to bound the length of the filter.
    """
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, rate).limit_denominator(1000)
    if ratio == 1:
        return samples
    return resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)


def _read(recording: Any, frames: int) -> np.ndarray:
    """At most so many frames, float32 [time, channels]."""
    if recording.subtype != "PCM_16" or recording.format not in WAV_FORMATS:
        return recording.read(frames=frames, dtype="float32", always_2d=True)
    # What libsndfile's own conversion gives, to the last bit, in less than half the time.
    samples = recording.read(frames=frames, dtype="int16", always_2d=True).astype(np.float32)
    samples *= PCM_16_STEP
    return samples


def _head(value: Any) -> bytes:
    """The first bytes of a file or of bytes. Raises OSError."""
    if not isinstance(value, str | Path):
        return bytes(value[:SPHERE_HEADER])
    with Path(value).open("rb") as file:
        return file.read(SPHERE_HEADER)


def _check_header(recording: Any, where: str, max_seconds: float) -> None:
    """Raises DataError for what the header alone forbids."""
    rate, frames = recording.samplerate, recording.frames
    _check_rate(rate, f"audio {where}")
    if recording.channels > MAX_CHANNELS:
        raise DataError(f"audio {where} has {recording.channels} channels; at most {MAX_CHANNELS}")
    if frames > max_seconds * rate:
        raise DataError(
            f"audio {where} lasts {frames / rate:.1f} s; at most {max_seconds:g} s (max_seconds): cut it into pieces"
        )
    pattern = SHORT.get(recording.format)
    short = None if pattern is None else pattern.search(recording.extra_info)
    if short is not None and int(short[2]) < int(short[1]) < UNKNOWN_LENGTH:
        raise DataError(f"audio {where} is truncated: {short[1]} bytes announced, {short[2]} present")


def _check_sphere(head: bytes, frames: int, where: str) -> None:
    """Raises DataError where a SPHERE header announces more samples than there are (libsndfile goes by the size)."""
    announced = SAMPLE_COUNT.search(head[:SPHERE_HEADER]) if head.startswith(b"NIST_1A") else None
    if announced is not None and frames < int(announced[1]):
        raise DataError(f"audio {where} is truncated: {int(announced[1])} samples announced, {frames} present")


def _check_length(recording: Any, read: int, where: str, max_seconds: float) -> None:
    """Raises DataError when the samples contradict the header."""
    if read > max_seconds * recording.samplerate:
        raise DataError(f"audio {where} lasts longer than {max_seconds:g} s (max_seconds): cut it into pieces")
    if recording.format == "FLAC" and read < recording.frames:
        raise DataError(f"audio {where} is truncated: {recording.frames} samples announced, {read} present")


def _check_rate(rate: Any, what: str) -> None:
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not MIN_RATE <= rate <= MAX_RATE:
        raise DataError(f"{what} has a sample rate of {rate!r}; expected {MIN_RATE:,} to {MAX_RATE:,} Hz")


def _check_waveform(samples: np.ndarray, rate: Any, max_seconds: float, channel: str) -> tuple[np.ndarray, int]:
    """A waveform given as an array -> (mono float32 [time], rate). Raises DataError."""
    _check_rate(rate, "a waveform")
    if not np.issubdtype(samples.dtype, np.floating):
        raise DataError(f"a waveform must be float in -1..1, not {samples.dtype}; divide int16 samples by 32768")
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MAX_CHANNELS):
        raise DataError(f"a waveform must be [time] or [time, channels], not {samples.shape}")
    if len(samples) > max_seconds * rate:
        raise DataError(
            f"a waveform of {len(samples) / rate:.1f} s is too long; at most {max_seconds:g} s (max_seconds)"
        )
    return _channels(samples, "a waveform", channel), int(rate)


def _channels(samples: np.ndarray, what: str, channel: str) -> np.ndarray:
    """Average the channels or take one (or two), refuse what is not finite. Returns float32 [time] or [time, 2].

    Raises DataError.
    """
    if len(samples) == 0:
        raise DataError(f"{what} has no samples")
    lowest, highest = float(samples.min()), float(samples.max())  # either is NaN when any sample is
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise DataError(f"{what} holds NaN or infinite samples")
    peak = max(-lowest, highest)
    if peak > MAX_AMPLITUDE:
        raise DataError(f"{what} reaches {peak:g}; expected about -1..1 (divide 16-bit samples by 32768)")
    if channel == BOTH:
        mono = np.stack([samples] * 2, axis=1) if samples.ndim == 1 else samples[:, [0, min(1, samples.shape[1] - 1)]]
    elif samples.ndim == 1 or samples.shape[1] == 1:
        mono = samples.reshape(-1)
    elif channel == "mix":
        mono = samples.mean(axis=1)
    else:
        mono = samples[:, min({"left": 0, "right": 1}[channel], samples.shape[1] - 1)]
    return np.ascontiguousarray(mono, dtype=np.float32)
