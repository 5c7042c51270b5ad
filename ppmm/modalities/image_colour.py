"""Random changes of colour, uint8 [H, W, C] with C = 1 or 3 (RGB)."""

from __future__ import annotations

import cv2
import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS

__all__ = ["ImageColourJitter", "brightened", "contrasted", "hue_turned", "saturated"]

GREY = np.array([0.299, 0.587, 0.114])


@AUGMENTATIONS.register("image_colour_jitter")
class ImageColourJitter:
    """Brightness, contrast, saturation and hue changed in random order (Howard 2013, section 2; factors as PIL's).

    Args:
        brightness: factor uniform in 1 - b .. 1 + b, not below 0.
        contrast: likewise, around the mean grey level.
        saturation: likewise, around the pixel's grey level; grey pictures stay as they are.
        hue: turn of the colour circle, uniform in -h .. h, in turns, at most 0.5.
    """

    kind = "image"

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
    ) -> None:
        if min(brightness, contrast, saturation) < 0.0:
            raise ConfigError("brightness, contrast, saturation: must not be negative")
        if not 0.0 <= hue <= 0.5:
            raise ConfigError(f"hue: {hue} must be in 0..0.5 (turns of the colour circle)")
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """uint8 [H, W, C] -> same shape."""
        spreads = (self.brightness, self.contrast, self.saturation)
        factors = [rng.uniform(max(0.0, 1.0 - spread), 1.0 + spread) for spread in spreads]
        turn = rng.uniform(-self.hue, self.hue)
        for number in rng.permutation(4):
            if number == 3:
                array = hue_turned(array, turn) if self.hue else array
            elif spreads[number]:
                array = (brightened, contrasted, saturated)[number](array, factors[number])
        return array


def brightened(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: factor x pixels, uint8 [H, W, C]."""
    return _mapped(pixels, 0.0, factor)


def contrasted(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey level of the picture, uint8 [H, W, C]."""
    means = cv2.mean(pixels)[: pixels.shape[2]]
    mean = np.rint(means @ GREY if len(means) == 3 else means[0])
    return _mapped(pixels, float(mean), factor)


def saturated(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Blend with each pixel's grey level, uint8 [H, W, C]."""
    if pixels.shape[2] != 3:
        return pixels
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(pixels, factor, grey, 1.0 - factor, 0.0)


def hue_turned(pixels: np.ndarray, turn: float) -> np.ndarray:
    """Turn the hue by a share of the colour circle, in steps of 1/256, uint8 [H, W, C]."""
    if pixels.shape[2] != 3:
        return pixels
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL)
    hsv[:, :, 0] += np.uint8(round(turn * 256) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def _mapped(pixels: np.ndarray, centre: float, factor: float) -> np.ndarray:
    """centre + factor x (pixel - centre), rounded and clipped, by a table of the 256 levels."""
    levels = centre + factor * (np.arange(256) - centre)
    return cv2.LUT(pixels, np.clip(np.rint(levels), 0, 255).astype(np.uint8)).reshape(pixels.shape)
