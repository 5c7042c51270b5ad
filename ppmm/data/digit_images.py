"""MNIST and Fashion-MNIST as downloaded: IDX files (.gz or unpacked) or folders of PNG files, one per class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.data.idx import read_idx
from ppmm.data.layout import Layout
from ppmm.data.splits import check_choice, check_share, part_of
from ppmm.errors import ConfigError, DataError
from ppmm.types import Sample

__all__ = ["SPLITS", "DigitImages"]

SPLITS = ("train", "val", "test")
PARTS = {"train": "train", "val": "train", "test": "t10k"}
CLASSES = 10


class DigitImages:
    """Grey images of ten classes; a subclass gives them their names. Not registered.

    Looked for below the root, or its folder ``raw``: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and
    ``t10k-...``, also with ``.idx3`` for ``-idx3`` and with ``.gz``; else ``train/<class>/*.png`` and ``test/...``.

    Args:
        root: folder of the files.
        split: ``test`` is the published one; ``val`` is drawn from the training part by a hash of the image's name.
        val_share: how much of the training part is ``val``.
        limit: take only the first so many images.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged.
    """

    title: str
    """Name of the data set."""
    published: str
    """Where it comes from."""
    labels: tuple[str, ...]
    """Names of the classes 0..9."""

    def __init__(
        self, root: str, split: Literal["train", "val", "test"], val_share: float = 1 / 12, limit: int | None = None
    ) -> None:
        check_choice("split", split, SPLITS)
        check_share("val_share", val_share)
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} must be at least 1")
        self.split: str = split
        layout = Layout(self.title, self.published, root)
        self._images: np.ndarray | None = None
        self._files: list[Path] = []
        part = PARTS[split]
        source = self._find(layout, part, "images", 3)
        if source is not None:
            numbers = self._read_idx(layout, source, part)
            keys = [f"{part}/{number}" for number in range(len(numbers))]
        else:
            numbers = self._list_png(layout, "test" if split == "test" else "train")
            keys = [f"{file.parent.name}/{file.name}" for file in self._files]
        shares = {} if split == "test" else {"val": val_share}
        wanted = "train" if split == "test" else split
        self._rows = np.array([row for row, key in enumerate(keys) if part_of(key, shares) == wanted][:limit], np.int64)
        self._numbers = numbers
        if len(self._rows) == 0:
            raise layout.error(f"no images are left for {split} with val_share {val_share}")
        what = "IDX file" if self._images is not None else "PNG folders"
        self.found = f"{layout.name} {split}: {len(self):,} of {len(keys):,} images of the {what} '{self.source}'"

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """``image`` uint8 [H, W] or the path of a PNG, ``label`` (its name), ``number`` 0..9, ``id``."""
        row = int(self._rows[index])
        number = int(self._numbers[row])
        image: Any = self._files[row] if self._images is None else self._images[row]
        place = f"{row}" if self._images is not None else f"{image.parent.name}/{image.name}"
        return {"id": f"{self.split}:{place}", "image": image, "label": self.labels[number], "number": number}

    @staticmethod
    def _find(layout: Layout, part: str, what: str, dimensions: int) -> Path | None:
        names = [f"{part}-{what}{mark}idx{dimensions}-ubyte{gz}" for mark in "-." for gz in ("", ".gz")]
        return layout.find(*names, *(f"raw/{name}" for name in names))

    def _read_idx(self, layout: Layout, source: Path, part: str) -> np.ndarray:
        """Fill ``_images`` [N,H,W]; returns the classes uint8 [N]. Raises DataError."""
        labels = self._find(layout, part, "labels", 1)
        if labels is None:
            raise layout.missing("labels", "file", (f"{part}-labels-idx1-ubyte", f"{part}-labels-idx1-ubyte.gz"))
        self.source = source
        self._images, numbers = read_idx(source, 3), read_idx(labels, 1)
        if len(self._images) != len(numbers):
            raise DataError(f"'{source}' holds {len(self._images):,} images, '{labels}' {len(numbers):,} labels")
        if len(numbers) and numbers.max() >= CLASSES:
            raise DataError(f"'{labels}' holds the label {numbers.max()}; expected 0 to {CLASSES - 1}")
        return numbers

    def _list_png(self, layout: Layout, folder: str) -> np.ndarray:
        """Fill ``_files``, by class and name; returns their classes [N]. Raises DataError."""
        idx = f"{PARTS[self.split]}-images-idx3-ubyte"
        if layout.find(f"{folder}/0") is None:
            raise layout.missing(f"images of {self.split}", "file", (idx, f"{idx}.gz", f"{folder}/0/*.png"))
        self.source = layout.root / folder
        numbers: list[int] = []
        for number in range(CLASSES):
            files = sorted(self.source.glob(f"{number}/*.png"), key=_natural)
            if not files:
                raise layout.missing(f"images of class {number}", "file", (f"{folder}/{number}/*.png",))
            self._files += files
            numbers += [number] * len(files)
        return np.array(numbers)


def _natural(path: Path) -> tuple[int, str]:
    """7.png before 10.png."""
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1, path.name
