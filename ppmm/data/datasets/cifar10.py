"""CIFAR-10 (Krizhevsky 2009), the binary version: 32 x 32 colour images of ten classes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ppmm.data.layout import Layout
from ppmm.data.splits import check_choice, check_share, part_of
from ppmm.data.text_file import read_text
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["Cifar10"]

TRAIN = [f"data_batch_{number}.bin" for number in range(1, 6)]
TEST = ["test_batch.bin"]
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
CLASSES = 10


@DATASETS.register("cifar10")
class Cifar10:
    """Records of a label byte and 3 x 1,024 bytes of red, green and blue, in ``cifar-10-batches-bin``.

    Args:
        root: that folder, or the one that holds it.
        split: ``test`` is the published one; ``val`` is drawn from the training part by a hash of the record's number.
        val_share: how much of the training part is ``val``.
        limit: take only the first so many images.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged, or the Python version, which only pickle can read.
    """

    def __init__(
        self, root: str, split: Literal["train", "val", "test"], val_share: float = 0.1, limit: int | None = None
    ) -> None:
        check_choice("split", split, ("train", "val", "test"))
        check_share("val_share", val_share)
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} must be at least 1")
        layout = Layout("CIFAR-10", "The CIFAR-10 dataset: CIFAR-10 binary version", root)
        folder = _folder(layout)
        self.split = split
        self.labels = _labels(folder / "batches.meta.txt")
        files = TEST if split == "test" else TRAIN
        self._records = np.concatenate([_records(layout, folder, name) for name in files])
        total = len(self._records)
        if split != "test":
            parts = [part_of(f"train/{number}", {"val": val_share}) for number in range(total)]
            self._rows = np.array([number for number, part in enumerate(parts) if part == split], np.int64)[:limit]
        else:
            self._rows = np.arange(total)[:limit]
        if len(self._rows) == 0:
            raise layout.error(f"no images are left for {split} with val_share {val_share}")
        self.found = f"CIFAR-10 {split}: {len(self):,} of {total:,} images of {len(files)} batches in '{folder}'"

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """``image`` RGB uint8 [32, 32, 3], ``label`` (its name), ``id``."""
        row = int(self._rows[index])
        record = self._records[row]
        image = np.ascontiguousarray(record[1:].reshape(3, SIDE, SIDE).transpose(1, 2, 0))
        return {"id": f"{self.split}:{row}", "image": image, "label": self.labels[int(record[0])]}


def _folder(layout: Layout) -> Path:
    """Where the batches are. Raises DataError, also for the Python version."""
    places = ("cifar-10-batches-bin", "")
    for place in places:
        if (layout.root / place / TRAIN[0]).is_file() or (layout.root / place / TEST[0]).is_file():
            return layout.root / place
    python = layout.find("cifar-10-batches-py/data_batch_1", "data_batch_1", "cifar-10-batches-py")
    if python is not None:
        raise DataError(
            f"CIFAR-10: '{python}' is of the Python version, which is pickle: ppmm loads no pickle, for it may run any "
            "code; download the 'CIFAR-10 binary version' (cifar-10-batches-bin) instead"
        )
    raise layout.missing("batches", "file", tuple(f"{place}/{TRAIN[0]}".lstrip("/") for place in places))


def _labels(path: Path) -> list[str]:
    """The names of the ten classes, one per line. Raises DataError."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if len(names) != CLASSES or len(set(names)) != CLASSES:
        raise DataError(f"'{path}' names {len(set(names))} classes; expected {CLASSES}")
    return names


def _records(layout: Layout, folder: Path, name: str) -> np.ndarray:
    """uint8 [N, 3073]. Raises DataError."""
    path = folder / name
    if not path.is_file():
        raise layout.error(f"no batch: looked for the file '{path}'")
    content = np.fromfile(path, np.uint8)
    if len(content) == 0 or len(content) % RECORD:
        raise DataError(f"'{path}' has {len(content):,} bytes, which is no multiple of {RECORD:,}: it is damaged")
    records = content.reshape(-1, RECORD)
    if records[:, 0].max() >= CLASSES:
        raise DataError(f"'{path}' holds the label {records[:, 0].max()}; expected 0 to {CLASSES - 1}")
    return records
