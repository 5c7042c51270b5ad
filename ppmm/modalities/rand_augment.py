"""RandAugment, with Pillow's operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS

__all__ = ["OPERATIONS", "ImageRandAugment", "altered"]

TOP = 10.0
GREY_FILL = 128
OPERATIONS = (
    "identity", "auto_contrast", "equalize", "rotate", "solarize", "colour", "posterize", "contrast", "brightness",
    "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
SIGNED = frozenset(("rotate", "colour", "contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x",
                    "translate_y"))  # fmt: skip


@AUGMENTATIONS.register("image_rand_augment")
class ImageRandAugment:
    """``operations`` of the 14 changes, drawn with replacement, all at one strength (Cubuk et al. 2020, RandAugment).

    At magnitude 10: rotate 30 degrees, shear 0.3, translate 0.45 of the side, solarize all levels, posterize to 4
    bits, colour, contrast, brightness and sharpness by a factor of 1.9 or 0.1; linear below, in either direction
    (the ranges of AutoAugment, Cubuk et al. 2019, table 6). Uncovered borders become grey 128.

    Args:
        operations: N of the paper, changes per picture.
        magnitude: M of the paper on its scale of 0 to 10.
    """

    kind = "image"

    def __init__(self, operations: int = 2, magnitude: float = 9.0) -> None:
        if operations < 0:
            raise ConfigError(f"operations: {operations} must not be negative")
        if not 0.0 <= magnitude <= TOP:
            raise ConfigError(f"magnitude: {magnitude:g} must be in 0..10")
        self.operations = operations
        self.magnitude = magnitude

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """uint8 [H, W, C] -> same shape."""
        from PIL import Image

        image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
        for number in rng.integers(len(OPERATIONS), size=self.operations):
            sign = -1.0 if rng.random() < 0.5 else 1.0
            image = altered(image, OPERATIONS[number], sign * self.magnitude / TOP)
        return np.asarray(image).reshape(array.shape)


def altered(image: Any, operation: str, strength: float) -> Any:
    """One operation on a PIL image of mode L or RGB; ``strength`` is in -1..1, its sign matters to half of them."""
    from PIL import ImageEnhance, ImageOps

    size = abs(strength)
    if operation == "identity":
        return image
    if operation == "auto_contrast":
        return ImageOps.autocontrast(image)
    if operation == "equalize":
        return ImageOps.equalize(image)
    if operation == "solarize":
        return ImageOps.solarize(image, round(256 * (1.0 - size)))
    if operation == "posterize":
        return ImageOps.posterize(image, 8 - round(4 * size))
    enhancers = {"colour": ImageEnhance.Color, "contrast": ImageEnhance.Contrast,
                 "brightness": ImageEnhance.Brightness, "sharpness": ImageEnhance.Sharpness}  # fmt: skip
    if operation in enhancers:
        return enhancers[operation](image).enhance(1.0 + 0.9 * strength)
    return _moved(image, operation, strength)


def _moved(image: Any, operation: str, strength: float) -> Any:
    """Rotate, shear or translate by an affine map from output to input pixels."""
    from PIL import Image

    fill = GREY_FILL if image.mode == "L" else (GREY_FILL,) * 3
    if operation == "rotate":
        return image.rotate(30.0 * strength, fillcolor=fill)
    matrix = {
        "shear_x": (1, 0.3 * strength, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, 0.3 * strength, 1, 0),
        "translate_x": (1, 0, 0.45 * strength * image.width, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, 0.45 * strength * image.height),
    }[operation]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=fill)
