"""What a sample shows and says: scans on a dark canvas, recordings with silence and noise around them."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

__all__ = ["CANVAS", "SCENE", "draw_digit", "draw_scene", "speak_digit", "speak_digits", "write_wav"]

CANVAS = 32
SCENE = (32, 96)
"""Height and width of a picture of up to four digits."""
SCAN_LEVELS = 16.0
COLOUR_JITTER = 20
PAUSE_SECONDS = (0.02, 0.15)
EDGE_SECONDS = 0.2


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


def draw_scene(
    scans: Sequence[np.ndarray],
    colours: Sequence[tuple[int, int, int]],
    high: Sequence[bool],
    rng: np.random.Generator,
) -> np.ndarray:
    """Place up to four scans side by side, from left to right, none over another.

    Args:
        scans: float [8, 8] each, ink 0..16.
        colours: RGB of each, 0..255.
        high: whether each stands at the upper edge rather than at the lower one.
        rng: draws sizes, gaps, shades and noise.

    Returns:
        uint8 [32, 96, 3], RGB.
    """
    rows, columns = SCENE
    heights = rng.integers(18, 22, size=len(scans))
    widths = np.clip(np.rint(heights * rng.uniform(0.8, 1.05, size=len(scans))), 14, 21).astype(int)
    gaps = rng.multinomial(columns - 2 * (len(scans) + 1) - int(widths.sum()), rng.dirichlet(np.ones(len(scans) + 1)))
    paper = rng.uniform(15, 50)
    canvas = np.full((rows, columns, 3), paper)
    left = 0
    for scan, colour, above, height, width, gap in zip(scans, colours, high, heights, widths, gaps[:-1], strict=True):
        left += 2 + int(gap)
        margin = int(rng.integers(1, 3))
        top = margin if above else rows - int(height) - margin
        glyph = cv2.resize(scan / SCAN_LEVELS, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
        ink = np.clip(np.asarray(colour) + rng.uniform(-COLOUR_JITTER, COLOUR_JITTER, size=3), 0, 255)
        part = canvas[top : top + int(height), left : left + int(width)]
        part += (ink - paper) * np.clip(glyph, 0.0, 1.0)[:, :, None]
        left += int(width)
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
    return speak_digits([samples], rate, rng)


def speak_digits(recordings: Sequence[np.ndarray], rate: int, rng: np.random.Generator) -> np.ndarray:
    """Set recordings one after another between two silences, at one random level, with mild noise over all of it.

    Args:
        recordings: int16 [time] each, not silent; each is brought to the same peak.
        rate: samples per second.
        rng: draws the level (peak 0.3..0.9), the silences (0..0.2 s each), the noise (20..35 dB below the voice) and
            the pauses between two recordings (0.02..0.15 s).

    Returns:
        int16 [longer time].
    """
    peak = rng.uniform(0.3, 0.9)
    before, after = (int(rng.uniform(0.0, EDGE_SECONDS) * rate) for _ in range(2))
    parts: list[np.ndarray] = []
    for samples in recordings:
        voice = samples.astype(np.float64)
        pause = int(rng.uniform(*PAUSE_SECONDS) * rate) if parts else before
        parts += [np.zeros(pause), voice * (peak / max(float(np.abs(voice).max()), 1.0))]
    power = np.mean(np.concatenate(parts[1::2]) ** 2)
    spoken = np.concatenate([*parts, np.zeros(after)])
    spoken += rng.standard_normal(len(spoken)) * np.sqrt(power * 10.0 ** (-rng.uniform(20.0, 35.0) / 10.0))
    return np.clip(np.rint(spoken * 32767.0), -32768, 32767).astype(np.int16)


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """int16 [time] as a mono 16-bit WAV."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, len(samples), "NONE", "not compressed"))
        out.writeframes(samples.astype("<i2").tobytes())
