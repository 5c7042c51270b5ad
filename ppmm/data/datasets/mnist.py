"""MNIST (LeCun et al. 1998): handwritten digits, 28 x 28."""

from __future__ import annotations

from ppmm.data.digit_images import DigitImages
from ppmm.registry import DATASETS

__all__ = ["Mnist"]


@DATASETS.register("mnist")
class Mnist(DigitImages):
    """MNIST from its IDX files (packed or not), or from folders of PNG files; arguments as `DigitImages`."""

    title = "MNIST"
    published = "The MNIST database of handwritten digits"
    labels = tuple(str(digit) for digit in range(10))
