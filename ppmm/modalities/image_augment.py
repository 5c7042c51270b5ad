"""Random changes of images [H, W, C], uint8 (0..255) or float (0..1), before normalisation."""

from __future__ import annotations

import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS

__all__ = ["ImageErase", "ImageNoise", "ImageShift"]


@AUGMENTATIONS.register("image_shift")
class ImageShift:
    """Move the image by up to ``pixels`` in each direction; the uncovered border repeats the edge."""

    def __init__(self, pixels: int) -> None:
        if pixels < 0:
            raise ConfigError(f"pixels: {pixels} must not be negative")
        self.pixels = pixels

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype."""
        down, right = rng.integers(-self.pixels, self.pixels + 1, size=2)
        height, width = array.shape[:2]
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        return array[rows[:, None], columns[None, :]]


@AUGMENTATIONS.register("image_noise")
class ImageNoise:
    """Add Gaussian noise; ``std`` counts on the scale 0..1 for uint8 images too."""

    def __init__(self, std: float) -> None:
        if std < 0:
            raise ConfigError(f"std: {std} must not be negative")
        self.std = std

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype, clipped to the range of the dtype."""
        top = 255.0 if array.dtype == np.uint8 else 1.0
        noisy = array + rng.normal(0.0, self.std * top, size=array.shape)
        noisy = np.clip(noisy, 0.0, top)
        return (np.rint(noisy) if array.dtype == np.uint8 else noisy).astype(array.dtype)


@AUGMENTATIONS.register("image_erase")
class ImageErase:
    """Fill one random rectangle with the mean colour (Zhong et al. 2020, Random Erasing).

    Args:
        fraction: sides of the rectangle are at most this share of the image's sides, 0..1.
        probability: how often it is done at all.
    """

    def __init__(self, fraction: float = 0.5, probability: float = 0.5) -> None:
        if not 0.0 <= fraction <= 1.0:
            raise ConfigError(f"fraction: {fraction} must be in 0..1")
        if not 0.0 <= probability <= 1.0:
            raise ConfigError(f"probability: {probability} must be in 0..1")
        self.fraction = fraction
        self.probability = probability

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype."""
        if rng.random() >= self.probability:
            return array
        height, width = array.shape[:2]
        tall = int(rng.integers(0, int(height * self.fraction) + 1))
        wide = int(rng.integers(0, int(width * self.fraction) + 1))
        top = int(rng.integers(0, height - tall + 1))
        left = int(rng.integers(0, width - wide + 1))
        erased = array.copy()
        erased[top : top + tall, left : left + wide] = array.mean(axis=(0, 1)).astype(array.dtype)
        return erased
