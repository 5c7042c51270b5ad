"""Graded damage to raw values, for measuring robustness: the same value, level and generator give the same damage.

Level 0 leaves a value as it is, level 1 is close to useless; what lies between is stated at each function.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ppmm.modalities.audio_augment import add_noise
from ppmm.modalities.audio_file import read_recording
from ppmm.modalities.file_source import read_file
from ppmm.modalities.image_file import decode_image

__all__ = ["DISTURBANCES", "Disturbance", "disturbed", "snr_of"]

Disturbance = Callable[[Any, float, np.random.Generator], Any]
CLEAN_DB, WORST_DB = 30.0, -10.0
MAX_SECONDS, MAX_BYTES, MAX_PIXELS = 600.0, 100 * 1024 * 1024, 50_000_000


def blur(pixels: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur, sigma = ``level`` x 10 % of the shorter side."""
    sigma = 0.1 * level * min(pixels.shape[:2])
    return cv2.GaussianBlur(pixels, (0, 0), sigma) if sigma > 0 else pixels


def pixel_noise(pixels: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, standard deviation = ``level`` x 255, cut to 0..255."""
    noisy = pixels + rng.standard_normal(pixels.shape) * (255.0 * level)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def occlusion(pixels: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A grey rectangle of the picture's own shape covers ``level`` of its area, at a random place."""
    height, width = pixels.shape[:2]
    high, wide = round(height * level**0.5), round(width * level**0.5)
    top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
    covered = pixels.copy()
    covered[top : top + high, left : left + wide] = 128
    return covered


def snr_of(level: float) -> float:
    """Signal-to-noise ratio at a level above 0: from 30 dB down to -10 dB."""
    return CLEAN_DB + level * (WORST_DB - CLEAN_DB)


def white_noise(recording: tuple[np.ndarray, int], level: float, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """White noise at 30 - 40 x ``level`` dB."""
    wave, rate = recording
    return add_noise(wave, snr_of(level), rng), rate


def typos(text: str, level: float, rng: np.random.Generator) -> str:
    """Each letter, with a chance of ``level`` / 2, is dropped, doubled, replaced, or swapped with the next one."""
    letters = list(text)
    place = 0
    while place < len(letters):
        if not letters[place].isspace() and rng.random() < level / 2:
            place += _typo(letters, place, rng)
        place += 1
    return "".join(letters) or text[:1]


def _typo(letters: list[str], place: int, rng: np.random.Generator) -> int:
    """Change one letter in place; returns by how many places the rest moved."""
    kind = int(rng.integers(4))
    if kind == 0:
        del letters[place]
        return -1
    if kind == 1:
        letters.insert(place, letters[place])
        return 1
    if kind == 2:
        letters[place] = letters[int(rng.integers(len(letters)))]
    elif place + 1 < len(letters):
        letters[place], letters[place + 1] = letters[place + 1], letters[place]
        return 1
    return 0


DISTURBANCES: dict[str, dict[str, Disturbance]] = {
    "image": {"blur": blur, "noise": pixel_noise, "occlusion": occlusion},
    "audio": {"noise": white_noise},
    "text": {"typos": typos},
}
"""What there is for each kind of field."""


def disturbed(kind: str, value: Any, change: Disturbance, level: float, rng: np.random.Generator) -> Any:
    """A raw value of a field, decoded where it is a file, with ``change`` at ``level``; as it is at level 0.

    Raises DataError when the file cannot be read.
    """
    if level == 0:
        return value
    if kind == "image" and not isinstance(value, np.ndarray):
        data = read_file(value, "image", MAX_BYTES) if isinstance(value, str | Path) else bytes(value)
        value = decode_image(data, f"'{value}'" if isinstance(value, str | Path) else "bytes", MAX_PIXELS)
    if kind == "audio":
        value = value if isinstance(value, tuple) else read_recording(value, MAX_SECONDS)
    return change(value, level, rng)
