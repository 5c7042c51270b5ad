"""Fashion-MNIST (Xiao et al. 2017): ten kinds of clothes, 28 x 28, in the files of MNIST."""

from __future__ import annotations

from ppmm.data.digit_images import DigitImages
from ppmm.registry import DATASETS

__all__ = ["FashionMnist"]


@DATASETS.register("fashion_mnist")
class FashionMnist(DigitImages):
    """Fashion-MNIST from its IDX files (packed or not), or from folders of PNG files; arguments as `DigitImages`."""

    title = "Fashion-MNIST"
    published = "zalandoresearch/fashion-mnist"
    labels = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
