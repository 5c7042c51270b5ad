"""One recording, looked at: format, rate, length, damage, content."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.data.curate.flac_end import flac_is_cut
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.measured import Measured
from ppmm.data.curate.stream_end import stream_is_cut
from ppmm.errors import DataError
from ppmm.modalities.audio_file import load_mono, read_recording

__all__ = ["audio_format", "clipped_samples", "measure_audio"]

FULL_SCALE = 0.999
"""Magnitude from which a sample counts as full scale (16-bit limits are 0.99997)."""
RUN = 3
"""So many samples at full scale in a row are a clipped peak; single ones occur in sound recordings."""
EXTENSIONS = {
    ".wav": "WAV", ".wave": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG", ".mp3": "MP3",
    ".sph": "SPHERE", ".aiff": "AIFF", ".aif": "AIFF",
}  # fmt: skip


def measure_audio(value: Any, limits: Limits) -> Measured:
    """Facts (bytes, format, rate, seconds, peak_db) and problems of a path, bytes or (waveform, rate)."""
    measured = Measured()
    if isinstance(value, tuple | list) and len(value) == 2:
        samples, rate = np.asarray(value[0]), int(value[1])
        try:
            load_mono((samples, rate), rate, limits.max_seconds)
        except DataError as error:
            return measured.problem(_why(str(error)), str(error))
        return _judge(samples.reshape(len(samples), -1), rate, limits, measured)
    if isinstance(value, Path) and not _look(value, measured):
        return measured
    try:
        mono, rate = read_recording(value, limits.max_seconds)
    except DataError as error:
        kind = _why(str(error))
        if kind in ("unreadable", "zero_size") and _is_cut(value):
            kind = "truncated"
        return measured.problem(kind, str(error))
    if stream_is_cut(value):
        return measured.problem("truncated", "the stream ends before the end that its headers announce")
    return _judge(_all_channels(value, mono), rate, limits, measured)


def audio_format(head: bytes) -> str | None:
    """The format that the first bytes show, None where they show none."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    starts = {b"fLaC": "FLAC", b"OggS": "OGG", b"NIST": "SPHERE", b"FORM": "AIFF", b"ID3": "MP3"}
    found = next((kind for start, kind in starts.items() if head.startswith(start)), None)
    return found or ("MP3" if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 else None)


def clipped_samples(samples: np.ndarray) -> int:
    """Samples of [time, channels] in runs of at least `RUN` at full scale, of the worst channel."""
    return max(_clipped(samples[:, channel]) for channel in range(samples.shape[1]))


def _clipped(wave: np.ndarray) -> int:
    edges = np.diff(np.concatenate([[0], (np.abs(wave) >= FULL_SCALE).astype(np.int8), [0]]))
    runs = np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)
    return int(runs[runs >= RUN].sum())


def _look(path: Path, measured: Measured) -> bool:
    """What can be said without decoding; False where that ends the matter."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        measured.problem("missing", f"{path} does not exist")
        return False
    except (OSError, ValueError) as error:
        measured.problem("unreadable", f"{path} cannot be opened: {error}")
        return False
    if size == 0:
        measured.problem("zero_size", "0 bytes")
        return False
    kind, claimed = audio_format(head), EXTENSIONS.get(path.suffix.lower())
    measured.facts.update(bytes=size, format=kind)
    # TIMIT's files are SPHERE under the name .WAV: published so, and no mistake.
    if kind is not None and claimed != kind and not (kind == "SPHERE" and claimed == "WAV"):
        measured.problem("wrong_extension", f"the content is {kind}, the suffix '{path.suffix}'")
    return True


def _all_channels(value: Any, mono: np.ndarray) -> np.ndarray:
    """float32 [time, channels]: an average of channels would hide clipping and silence of one of them."""
    import io

    import soundfile

    source = str(value) if isinstance(value, Path | str) else io.BytesIO(bytes(value))
    try:
        if soundfile.info(source).channels == 1:
            return mono[:, None]
        if not isinstance(source, str):
            source.seek(0)
        samples: np.ndarray = soundfile.read(source, dtype="float32", always_2d=True)[0]
        return samples if len(samples) else mono[:, None]
    except (RuntimeError, OSError):  # what read_recording alone can read, it gives as mono
        return mono[:, None]


def _is_cut(value: Any) -> bool:
    """Whether what no decoder reads lacks its end."""
    data = value.read_bytes() if isinstance(value, Path) else bytes(value)
    return (data.startswith(b"fLaC") and flac_is_cut(data)) or (len(data) > 0 and stream_is_cut(data))


def _why(message: str) -> str:
    """The kind of problem behind a reader's refusal."""
    marks = {
        "truncated": "truncated", "NaN": "nan", "lasts": "too_long", "is too long": "too_long",
        "no samples": "zero_size", "0 bytes": "zero_size", "does not exist": "missing",
    }  # fmt: skip
    return next((kind for mark, kind in marks.items() if mark in message), "unreadable")


def _judge(samples: np.ndarray, rate: int, limits: Limits, measured: Measured) -> Measured:
    """``samples`` float [time, channels] in -1..1."""
    seconds = len(samples) / rate
    peak = float(np.abs(samples).max())
    level = 20 * math.log10(peak) if peak > 0 else -math.inf
    measured.facts.update(rate=rate, seconds=round(seconds, 4), channels=int(samples.shape[1]))
    measured.facts["peak_db"] = round(max(level, -120.0), 2)
    if seconds < limits.min_seconds:
        measured.problem("too_short", f"{seconds:.3f} s; at least {limits.min_seconds:g} s")
    if level < limits.silence_db:
        measured.problem("silence", f"the peak is {max(level, -120):.1f} dB; at least {limits.silence_db:g} dB")
    clipped = clipped_samples(samples)
    if clipped > limits.clipped_share * len(samples):
        measured.problem("clipping", f"{clipped:,} of {len(samples):,} samples are clipped")
    return measured
