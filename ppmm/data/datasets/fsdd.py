"""The Free Spoken Digit Dataset (Jackson et al.): digits spoken in English, 8 kHz."""

from __future__ import annotations

import re
from typing import Literal

from ppmm.data.layout import Layout
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice
from ppmm.errors import ConfigError
from ppmm.registry import DATASETS

__all__ = ["Fsdd"]

NAME = re.compile(r"(\d)_([A-Za-z]+)_(\d+)\.wav")
TEST = range(5)
"""Recordings 0 to 4 of each speaker and digit are the published test split."""


@DATASETS.register("fsdd")
class Fsdd(Reader):
    """``recordings/<digit>_<speaker>_<number>.wav``; numbers 0-4 are the test split, as published.

    Keys: ``audio``, ``digit``, ``speaker``, ``group`` (the speaker), ``id``.

    Args:
        root: the repository, or the folder of the recordings.
        split: ``val`` is drawn from the training part.
        val_numbers: numbers of the recordings of ``val``; they are not in ``train``.
        speakers: only these; None for all.
        limit: take only the first so many rows.

    Raises:
        ConfigError: an unknown split, numbers of the test split in ``val_numbers``, ``limit`` below 1.
        DataError: no such recordings.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"],
        val_numbers: list[int] | None = None,
        speakers: list[str] | None = None,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, ("train", "val", "test"))
        val = set(range(5, 10) if val_numbers is None else val_numbers)
        if val & set(TEST):
            raise ConfigError(f"val_numbers: {sorted(val & set(TEST))} belong to the test split (0 to 4)")
        layout = Layout("FSDD", "Jakobovski/free-spoken-digit-dataset", root)
        folder = layout.folder("recordings", "recordings", "")
        rows = []
        for path in sorted(folder.glob("*.wav")):
            name = NAME.fullmatch(path.name)
            if name is None or (speakers is not None and name[2] not in speakers):
                continue
            part = "test" if int(name[3]) in TEST else "val" if int(name[3]) in val else "train"
            if part == split:
                row = {"id": path.name, "audio": path.name, "digit": name[1], "speaker": name[2], "group": name[2]}
                rows.append(row)
        if not rows:
            of = "" if speakers is None else f" of {', '.join(speakers)}"
            wanted = "0-4" if split == "test" else "5-49"
            raise layout.error(f"no recordings for {split}: looked for '{folder}/<digit>_<speaker>_<{wanted}>.wav'{of}")
        voices = len({row["speaker"] for row in rows})
        found = f"FSDD {split}: {len(rows):,} recordings of {voices} speakers in '{folder}'"
        super().__init__(columns_of(rows, list(rows[0])), found, {"audio": folder}, limit)
