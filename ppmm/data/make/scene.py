"""What a sample shows and says: a scan on a grey canvas, a recording with silence and noise around it."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["CANVAS", "draw_digit", "speak_digit"]

CANVAS = 32
SCAN_LEVELS = 16.0


def draw_digit(scan: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Place a scan on a canvas.

    Args:
        scan: float [8, 8], ink 0..16.
        rng: draws size, place, shades and noise.

    Returns:
        uint8 [32, 32].
    """
    height = int(rng.integers(18, 29))
    width = int(np.clip(round(height * rng.uniform(0.85, 1.15)), 16, CANVAS))
    glyph = np.clip(cv2.resize(scan / SCAN_LEVELS, (width, height), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    top = int(rng.integers(0, CANVAS - height + 1))
    left = int(rng.integers(0, CANVAS - width + 1))
    paper, ink = rng.uniform(20, 70), rng.uniform(170, 255)
    canvas = np.full((CANVAS, CANVAS), paper)
    canvas[top : top + height, left : left + width] += (ink - paper) * glyph
    canvas += rng.normal(0.0, 6.0, size=canvas.shape)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def speak_digit(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Set a recording between two silences, at a random level, with mild noise over all of it.

    Args:
        samples: int16 [time], not silent.
        rate: samples per second.
        rng: draws the level (peak 0.3..0.9), the silences (0..0.2 s each) and the noise (20..35 dB below the voice).

    Returns:
        int16 [longer time].
    """
    voice = samples.astype(np.float64)
    voice *= rng.uniform(0.3, 0.9) / max(float(np.abs(voice).max()), 1.0)
    before, after = (int(rng.uniform(0.0, 0.2) * rate) for _ in range(2))
    wave = np.pad(voice, (before, after))
    wave += rng.standard_normal(len(wave)) * np.sqrt(np.mean(voice**2) * 10.0 ** (-rng.uniform(20.0, 35.0) / 10.0))
    return np.clip(np.rint(wave * 32767.0), -32768, 32767).astype(np.int16)
