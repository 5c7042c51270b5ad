"""Random shifts, flips, noise and holes: images [H, W, C], uint8 (0..255) or float (0..1), before normalisation."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.augmenting import check_probability
from ppmm.registry import AUGMENTATIONS

__all__ = ["ImageErase", "ImageFlip", "ImageNoise", "ImageShift"]

ATTEMPTS = 100


@AUGMENTATIONS.register("image_shift")
class ImageShift:
    """Move the image by up to ``pixels`` in each direction; the uncovered border repeats the edge."""

    kind = "image"

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

    kind = "image"

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


@AUGMENTATIONS.register("image_flip")
class ImageFlip:
    """Mirror the image.

    Args:
        probability: how often.
        vertical: upside down instead of left to right.
    """

    kind = "image"

    def __init__(self, probability: float = 0.5, vertical: bool = False) -> None:
        self.probability = check_probability("probability", probability)
        self.vertical = vertical

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype."""
        if rng.random() >= self.probability:
            return array
        return cv2.flip(array, 0 if self.vertical else 1).reshape(array.shape)


@AUGMENTATIONS.register("image_erase")
class ImageErase:
    """Fill one random rectangle (Zhong et al. 2020, Random Erasing, algorithm 1, with the paper's defaults).

    Its area is uniform in ``area``, height / width uniform in ``aspect``, its corner uniform in the image; drawn anew
    until it lies within the image, at most 100 times.

    Args:
        probability: p, how often it is done at all.
        area: s_l and s_h, smallest and largest share of the image.
        aspect: r_1 and r_2, smallest and largest height / width.
        fill: ``random`` pixels (RE-R, the paper's best) or the ``mean`` colour of the image.
    """

    kind = "image"

    def __init__(
        self,
        probability: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1.0 / 0.3),
        fill: Literal["random", "mean"] = "random",
    ) -> None:
        if not 0.0 <= area[0] <= area[1] <= 1.0:
            raise ConfigError(f"area: {list(area)} must be [lowest, highest] in 0..1")
        if not 0.0 < aspect[0] <= aspect[1]:
            raise ConfigError(f"aspect: {list(aspect)} must be [lowest, highest], above 0")
        self.probability = check_probability("probability", probability)
        self.area = area
        self.aspect = aspect
        self.fill = fill

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype."""
        if rng.random() >= self.probability:
            return array
        height, width = array.shape[:2]
        for _ in range(ATTEMPTS):
            share, ratio = rng.uniform(*self.area) * height * width, rng.uniform(*self.aspect)
            tall, wide = round(math.sqrt(share * ratio)), round(math.sqrt(share / ratio))
            top, left = int(rng.integers(height)), int(rng.integers(width))
            if top + tall <= height and left + wide <= width:
                erased = array.copy()
                erased[top : top + tall, left : left + wide] = self._filling(array, tall, wide, rng)
                return erased
        return array

    def _filling(self, array: np.ndarray, tall: int, wide: int, rng: np.random.Generator) -> np.ndarray:
        if self.fill == "mean":
            return array.mean(axis=(0, 1)).astype(array.dtype)
        shape = (tall, wide, array.shape[2])
        return rng.integers(0, 256, shape, np.uint8) if array.dtype == np.uint8 else rng.random(shape)
