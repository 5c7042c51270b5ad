"""Audio-visual digits: a handwritten and a spoken digit of the same class, each made hard enough to need the other."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.audio_augment import add_noise
from ppmm.modalities.audio_file import read_recording
from ppmm.modalities.file_source import read_file
from ppmm.modalities.image_file import decode_image
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["AvMnist"]

SPLITS = ("train", "val", "test")
RECORDINGS = {"train": range(5, 35), "val": range(35, 40), "test": range(40, 50)}
RECORDING_NAME = re.compile(r"(\d)_[a-z]+_(\d+)\.wav")
MAX_SECONDS = 10.0
MAX_BYTES, MAX_PIXELS = 1 << 20, 1 << 16


@DATASETS.register("av_mnist")
class AvMnist:
    """MNIST images paired with recordings of the Free Spoken Digit Dataset.

    Images are parted by a hash of their names (about 50,000 / 5,000 / 5,000) and come in the order of that hash;
    recordings by their index (5-34 / 35-39 / 40-49, of all speakers). A sample depends only on ``seed`` and its index.

    Args:
        mnist: folder with ``train/<digit>/*.png``.
        fsdd: folder with ``recordings/<digit>_<speaker>_<index>.wav``.
        split: which part.
        visible: share of the image's rows, from the top, that is kept; the rest is black.
        image_noise: standard deviation of Gaussian noise on the image, on the scale 0..1.
        audio_snr_db: signal-to-noise ratio of white noise on the recording, dB; None for none.
        seed: draws the pairing and the noise.
        limit: take only the first so many images.

    Raises:
        ConfigError: a setting out of its range.
        DataError: the files are not there.
    """

    def __init__(
        self,
        mnist: str,
        fsdd: str,
        split: Literal["train", "val", "test"],
        visible: float = 0.5,
        image_noise: float = 0.0,
        audio_snr_db: float | None = None,
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split: '{split}' must be one of {', '.join(SPLITS)}")
        if not 0.0 <= visible <= 1.0 or image_noise < 0.0 or (limit is not None and limit < 1):
            raise ConfigError("visible must be in 0..1, image_noise not negative, limit at least 1")
        self.split = split
        self.visible = visible
        self.image_noise = image_noise
        self.audio_snr_db = audio_snr_db
        self.seed = seed
        self.scans = _scans(Path(mnist), split)[:limit]
        self.recordings = _recordings(Path(fsdd), split)

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, index: int) -> Sample:
        """``image`` uint8 [28, 28], ``audio`` (float32 [time], 8000), ``digit`` 0..9, ``id``. Raises DataError."""
        digit, scan = self.scans[index]
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index % len(self.scans)])
        choices = self.recordings[digit]
        recording = choices[int(rng.integers(len(choices)))]
        wave, rate = read_recording(recording, MAX_SECONDS)
        if self.audio_snr_db is not None:
            wave = add_noise(wave, self.audio_snr_db, rng)
        sample_id = f"{self.split}:{digit}/{scan.stem}+{recording.stem}"
        return {"id": sample_id, "image": self._image(scan, rng), "audio": (wave, rate), "digit": digit}

    def _image(self, scan: Path, rng: np.random.Generator) -> np.ndarray:
        """uint8 [28, 28]: the visible part, then noise over everything."""
        pixels = decode_image(read_file(scan, "image", MAX_BYTES), f"'{scan}'", MAX_PIXELS).copy()
        pixels[round(len(pixels) * self.visible) :] = 0
        if self.image_noise > 0.0:
            noisy = pixels + rng.normal(0.0, self.image_noise * 255.0, size=pixels.shape)
            pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return pixels


def _scans(mnist: Path, split: str) -> list[tuple[int, Path]]:
    """(digit, file) of a split in the order of the hash. Raises DataError."""
    found = []
    for digit in range(10):
        folder = mnist / "train" / str(digit)
        names = [path.name for path in folder.glob("*.png")]
        if not names:
            raise DataError(
                f"no MNIST images: looked for '{folder}/*.png'; unpack mnist_png_train.tar.gz to '{mnist}' "
                "with tools/data.py unpack"
            )
        for name in names:
            key = int.from_bytes(hashlib.sha256(f"{digit}/{name}".encode()).digest()[:8], "big")
            if {0: "val", 1: "test"}.get(key % 12, "train") == split:
                found.append((key, digit, folder / name))
    if not found:
        raise DataError(f"'{mnist}' holds too few images: none falls into {split}")
    return [(digit, path) for _, digit, path in sorted(found)]


def _recordings(fsdd: Path, split: str) -> dict[int, list[Path]]:
    """Recordings of a split by digit, sorted by name. Raises DataError."""
    folder = fsdd / "recordings"
    found: dict[int, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.wav")):
        name = RECORDING_NAME.fullmatch(path.name)
        if name is not None and int(name[2]) in RECORDINGS[split]:
            found[int(name[1])].append(path)
    missing = [digit for digit in range(10) if digit not in found]
    if missing:
        span = RECORDINGS[split]
        raise DataError(
            f"no recordings of {missing[0]}: looked for '{folder}/{missing[0]}_<speaker>_<{span[0]}-{span[-1]}>.wav'; "
            f"unpack fsdd_train.tar.gz to '{fsdd}' with tools/data.py unpack"
        )
    return dict(found)
