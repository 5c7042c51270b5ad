"""Fashion-MNIST (Xiao et al. 2017): ten kinds of clothes, 28 x 28, in the files of MNIST."""

from __future__ import annotations

from typing import Literal

from ppmm.data.digit_images import DigitImages
from ppmm.data.layout import Layout
from ppmm.registry import DATASETS

__all__ = ["FashionMnist"]

LABELS = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip


@DATASETS.register("fashion_mnist")
class FashionMnist(DigitImages):
    """Fashion-MNIST from its IDX files (packed or not), or from folders of PNG files; see `DigitImages`.

    Args:
        root: folder of the files.
        split: ``test`` is the published one; ``val`` is drawn from the training part by a hash of the image's name.
        val_share: how much of the training part is ``val``.
        limit: take only the first so many images.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self, root: str, split: Literal["train", "val", "test"], val_share: float = 1 / 12, limit: int | None = None
    ) -> None:
        layout = Layout("Fashion-MNIST", "zalandoresearch/fashion-mnist", root)
        super().__init__(layout, split, val_share, LABELS, limit)
