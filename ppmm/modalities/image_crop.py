"""Random parts of pictures, chosen in training."""

from __future__ import annotations

import math

import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS

__all__ = ["ImageCrop", "ImageRandomResizedCrop"]

ATTEMPTS = 10


@AUGMENTATIONS.register("image_random_resized_crop")
class ImageRandomResizedCrop:
    """A part of random area and shape, for ``random_crop`` of the image field, which stretches it to its size.

    Szegedy et al. 2015 (Going Deeper with Convolutions, section 6): the share of the area is uniform in ``area``, the
    aspect ratio (width / height) log-uniform in ``aspect``; 10 attempts, then the largest central part whose ratio
    is within the limits.

    Args:
        area: smallest and largest share of the picture's area, 0..1.
        aspect: smallest and largest width / height.
    """

    kind = "picture"

    def __init__(
        self, area: tuple[float, float] = (0.08, 1.0), aspect: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0)
    ) -> None:
        if not 0.0 < area[0] <= area[1] <= 1.0:
            raise ConfigError(f"area: {list(area)} must be [lowest, highest], above 0 and at most 1")
        if not 0.0 < aspect[0] <= aspect[1]:
            raise ConfigError(f"aspect: {list(aspect)} must be [lowest, highest], above 0")
        self.area = area
        self.aspect = aspect

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W] or [H, W, C] -> a view of a part of it."""
        top, left, tall, wide = self.box(array.shape[0], array.shape[1], rng)
        return array[top : top + tall, left : left + wide]

    def box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part of a picture; known before it is decoded."""
        low, high = math.log(self.aspect[0]), math.log(self.aspect[1])
        for _ in range(ATTEMPTS):
            target = height * width * rng.uniform(*self.area)
            ratio = math.exp(rng.uniform(low, high))
            wide, tall = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
                return top, left, tall, wide
        tall = min(height, max(1, round(width / self.aspect[0])))
        wide = min(width, max(1, round(height * self.aspect[1])))
        return (height - tall) // 2, (width - wide) // 2, tall, wide


@AUGMENTATIONS.register("image_crop")
class ImageCrop:
    """Pad every side by ``padding`` black pixels, then cut a random part of the old size out of that.

    Args:
        padding: pixels, as 4 for 32 x 32 pictures (He et al. 2016, Deep Residual Learning, section 4.2).
    """

    kind = "image"

    def __init__(self, padding: int) -> None:
        if padding < 0:
            raise ConfigError(f"padding: {padding} must not be negative")
        self.padding = padding

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype."""
        down, right = rng.integers(0, 2 * self.padding + 1, size=2)
        height, width = array.shape[:2]
        pad = self.padding
        padded = np.pad(array, ((pad, pad), (pad, pad), (0, 0)))
        return padded[down : down + height, right : right + width]
