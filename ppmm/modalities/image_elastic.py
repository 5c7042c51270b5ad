"""Elastic distortion: the picture as if drawn on rubber (Simard et al. 2003, "Best Practices for ...", section 2)."""

from __future__ import annotations

import cv2
import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS

__all__ = ["ImageElastic"]


@AUGMENTATIONS.register("image_elastic")
class ImageElastic:
    """Each pixel is taken from a place near its own; neighbours from neighbouring places.

    The displacements are drawn on a coarse grid and interpolated by cubic curves, which costs far less than the
    Gaussian filter of the paper and has the same two parameters. The border repeats the edge.

    Args:
        pixels: largest displacement on the grid, in each direction.
        spacing: distance of the points of the grid, pixels: small for handwriting that trembles, large for slants.
    """

    kind = "image"

    def __init__(self, pixels: float, spacing: float = 8.0) -> None:
        if pixels < 0 or spacing < 2:
            raise ConfigError(f"pixels: {pixels:g} must not be negative, and spacing: {spacing:g} at least 2")
        self.pixels, self.spacing = pixels, spacing

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[H, W, C] -> same shape and dtype."""
        height, width = array.shape[:2]
        points = [max(2, round(side / self.spacing) + 1) for side in (height, width)]
        grid = rng.uniform(-self.pixels, self.pixels, size=(*points, 2)).astype(np.float32)
        moves = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        columns = moves[:, :, 0] + np.arange(width, dtype=np.float32)
        rows = moves[:, :, 1] + np.arange(height, dtype=np.float32)[:, None]
        moved = cv2.remap(array, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return moved.reshape(array.shape)
