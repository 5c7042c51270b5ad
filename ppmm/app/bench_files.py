"""Files to measure decoders with: pictures and recordings of the size and entropy of real ones."""

from __future__ import annotations

import io

import cv2
import numpy as np

__all__ = ["RATE", "clips_like_speech", "encoded_clips", "photographs"]

DISTINCT = 128
"""Files made; a longer epoch has them again, so that making them takes seconds."""
SIZE = (375, 500)
"""The commonest size in ImageNet: height, width."""
RATE, SECONDS = 16000, 4.0


def photographs(count: int, rng: np.random.Generator) -> list[bytes]:
    """JPEG files of 500 x 375 pixels, quality 90, 4:2:0, about 64 kB: blobs of several scales and some noise.

    Photographs of ImageNet have about 110 kB; theirs take longer to decode, so the ratio to a bare decoder would be
    better.
    """
    files = []
    for _ in range(min(count, DISTINCT)):
        pixels = np.zeros((*SIZE, 3), dtype=np.float32)
        for scale in (4, 16, 64):
            blobs = rng.normal(0.0, 30.0, (scale, scale, 3)).astype(np.float32)
            pixels += cv2.resize(blobs, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        pixels += rng.normal(128.0, 6.0, pixels.shape)
        encoded = cv2.imencode(".jpg", np.clip(pixels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        files.append(encoded.tobytes())
    return _repeated(files, count)


def clips_like_speech(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """At most 128 waveforms of 4 s at 16 kHz: four tones and noise, float32 [time]."""
    time_axis = np.arange(int(RATE * SECONDS)) / RATE
    waves = []
    for _ in range(min(count, DISTINCT)):
        tones = sum(np.sin(2 * np.pi * pitch * time_axis) for pitch in rng.uniform(80, 2000, 4))
        waves.append((0.1 * tones + rng.normal(0.0, 0.01, len(time_axis))).astype(np.float32))
    return waves


def encoded_clips(waves: list[np.ndarray], count: int, kind: str) -> list[bytes]:
    """``count`` files of 16 bits in the format ``kind``."""
    import soundfile

    files = []
    for wave in waves:
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, RATE, format=kind, subtype="PCM_16")
        files.append(buffer.getvalue())
    return _repeated(files, count)


def _repeated(files: list[bytes], count: int) -> list[bytes]:
    return [files[number % len(files)] for number in range(count)]
