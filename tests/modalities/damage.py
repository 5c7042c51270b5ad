"""Whole files of every format, and seeded ways to break them: the corpus of the fuzz tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import soundfile
from PIL import Image

IMAGES = ("PNG", "PNG16", "PNGA", "JPEG", "PJPEG", "WEBP", "WEBPL", "BMP", "TIFF", "PPM")
RECORDINGS = ("WAV", "WAVF", "FLAC", "OGG", "MP3", "SPHERE", "AIFF")
HUGE = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f")


def image_file(kind: str) -> bytes:
    """A small colour picture with edges and texture."""
    rng = np.random.default_rng(1)
    pixels = np.clip(
        np.add.outer(np.arange(33) * 4, np.arange(47) * 2)[..., None] + rng.integers(0, 60, (33, 47, 3)), 0, 255
    )
    pixels = pixels.astype(np.uint8)
    buffer = io.BytesIO()
    if kind == "PNG16":
        return bytes(cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1])
    picture = Image.fromarray(pixels)
    if kind == "PNGA":
        picture.putalpha(Image.fromarray(pixels[:, :, 0]))
    options = {"PJPEG": {"progressive": True}, "WEBPL": {"lossless": True}}.get(kind, {})
    if kind == "JPEG":
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
    formats = {"PNGA": "PNG", "PJPEG": "JPEG", "WEBPL": "WEBP"}
    picture.save(buffer, formats.get(kind, kind), **options)
    return buffer.getvalue()


def audio_file(kind: str) -> bytes:
    """0.3 s of two channels at 8 kHz."""
    rng = np.random.default_rng(2)
    wave = 0.4 * np.sin(np.arange(2400)[:, None] * [0.1, 0.23]) + rng.normal(0, 0.02, (2400, 2))
    buffer = io.BytesIO()
    formats = {"WAVF": ("WAV", "FLOAT"), "SPHERE": ("NIST", "PCM_16")}
    container, subtype = formats.get(kind, (kind, None))
    soundfile.write(buffer, wave, 8000, format=container, subtype=subtype)
    return buffer.getvalue()


def _cut(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(len(data))])


def _flip(data: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(int(rng.integers(1, 12))):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _noise(data: bytearray, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    data[start : start + int(rng.integers(1, 64))] = rng.bytes(int(rng.integers(1, 64)))
    return bytes(data)


def _header(data: bytearray, rng: np.random.Generator) -> bytes:
    """The first 64 bytes hold sizes: put a random or extreme one there."""
    start = int(rng.integers(min(64, len(data) - 4)))
    data[start : start + 4] = HUGE[rng.integers(len(HUGE))] if rng.random() < 0.5 else rng.bytes(4)
    return bytes(data)


def _repeat(data: bytearray, rng: np.random.Generator) -> bytes:
    start, stop = sorted(int(place) for place in rng.integers(len(data), size=2))
    return bytes(data[:stop] + data[start:stop] * int(rng.integers(1, 4)) + data[stop:])


def _remove(data: bytearray, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 200))]
    return bytes(data)


def _splice(data: bytearray, rng: np.random.Generator) -> bytes:
    """The beginning of this file, the end of one of another format."""
    kind = (*IMAGES, *RECORDINGS)[rng.integers(len(IMAGES) + len(RECORDINGS))]
    other = image_file(kind) if kind in IMAGES else audio_file(kind)
    return bytes(data[: rng.integers(len(data))]) + other[rng.integers(len(other)) :]


WAYS: tuple[Callable[[bytearray, np.random.Generator], bytes], ...] = (
    _cut, _flip, _flip, _noise, _header, _header, _repeat, _remove, _splice,
)  # fmt: skip


def broken_files(kind: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` damaged files of one format, the same for the same seed; some are damaged twice."""
    whole = image_file(kind) if kind in IMAGES else audio_file(kind)
    for number in range(count):
        rng = np.random.default_rng([seed, (*IMAGES, *RECORDINGS).index(kind), number])
        data = whole
        for _ in range(int(rng.integers(1, 3))):
            if len(data) > 8:
                data = WAYS[rng.integers(len(WAYS))](bytearray(data), rng)
        yield data
