"""Pictures of any size -> one size: how the shape is made to fit, and with which filter.

Against Pillow's anti-aliased ``Image.resize`` (tests/modalities/test_image_resize.py states and checks the figures, in
grey levels of 255, on a photograph-like picture and on white noise):

- ``bilinear`` and ``bicubic`` are Pillow's own (a = -0.5, filter widened when shrinking): no difference, and at most 1
  from the textbook formula, by rounding.
- ``area`` is OpenCV's, the fastest of the three. Shrinking, it averages the very area under each pixel, rounding apart;
  at most 1 from Pillow's box filter where both sides shrink by whole numbers (elsewhere that one takes whole pixels
  only). Growing, it is bilinear, at most 2 from Pillow's.
- ``fast`` averages whole blocks of pixels (2 x 2, 3 x 3 ...) first, then takes OpenCV's bilinear for the rest, a factor
  below 2, which it smooths a little less: on the photograph up to 15 from Pillow's bilinear at the sharpest edges, 3 on
  average (``area``: 13 and 2); on white noise 107 and 16 (64 and 12).
- OpenCV's own bilinear alone is not offered: it looks at 4 pixels only and aliases when shrinking.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

__all__ = ["Fit", "Interpolation", "fit_image", "resize_image"]

Fit = Literal["stretch", "crop", "letterbox"]
Interpolation = Literal["area", "bilinear", "bicubic", "fast"]


def resize_image(pixels: np.ndarray, height: int, width: int, interpolation: Interpolation) -> np.ndarray:
    """Stretch to a size.

    Args:
        pixels: uint8 [H, W] or [H, W, C].
        height: wanted rows.
        width: wanted columns.
        interpolation: ``area``, ``bilinear``, ``bicubic`` or ``fast``, see the module.

    Returns:
        uint8 [height, width] or [height, width, C].
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if interpolation == "area":
        shrinks = height * width < pixels.shape[0] * pixels.shape[1]
        resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return resized.reshape(height, width, *pixels.shape[2:])
    if interpolation == "fast":
        return _resize_fast(pixels, height, width)
    from PIL import Image

    method = Image.Resampling.BILINEAR if interpolation == "bilinear" else Image.Resampling.BICUBIC
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    resized = np.asarray(Image.fromarray(flat).resize((width, height), method))
    return resized.reshape(height, width, *pixels.shape[2:])


def _resize_fast(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Whole blocks averaged, then bilinear; same shapes as `resize_image`."""
    tail = pixels.shape[2:]
    down, across = max(1, pixels.shape[0] // height), max(1, pixels.shape[1] // width)
    if down > 1 or across > 1:
        tall, wide = pixels.shape[0] // down, pixels.shape[1] // across
        top, left = (pixels.shape[0] - tall * down) // 2, (pixels.shape[1] - wide * across) // 2
        whole = pixels[top : top + tall * down, left : left + wide * across]
        pixels = cv2.resize(whole, (wide, tall), interpolation=cv2.INTER_AREA)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, *tail)


def fit_image(
    pixels: np.ndarray, height: int, width: int, fit: Fit, interpolation: Interpolation, fill: int = 0
) -> np.ndarray:
    """Bring a picture to a size.

    Args:
        pixels: uint8 [H, W] or [H, W, C].
        height: wanted rows.
        width: wanted columns.
        fit: ``stretch`` ignores the aspect ratio; ``crop`` keeps it, covers the whole size and cuts the rest off both
            ends alike (for a square: shorter side to size, centre crop); ``letterbox`` keeps it and fills two borders.
        interpolation: see `resize_image`.
        fill: grey level of the borders of ``letterbox``, 0..255.

    Returns:
        uint8 [height, width] or [height, width, C].
    """
    if fit == "stretch":
        return resize_image(pixels, height, width, interpolation)
    scales = height / pixels.shape[0], width / pixels.shape[1]
    scale = max(scales) if fit == "crop" else min(scales)
    tall, wide = (max(1, round(side * scale)) for side in pixels.shape[:2])
    resized = resize_image(pixels, tall, wide, interpolation)
    if fit == "crop":
        top, left = max(0, (tall - height) // 2), max(0, (wide - width) // 2)
        return resized[top : top + height, left : left + width]
    tall, wide = min(tall, height), min(wide, width)
    framed = np.full((height, width, *pixels.shape[2:]), fill, dtype=np.uint8)
    top, left = (height - tall) // 2, (width - wide) // 2
    framed[top : top + tall, left : left + wide] = resized[:tall, :wide]
    return framed
