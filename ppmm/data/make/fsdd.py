"""Spoken digits that travel with the package: a part of the Free Spoken Digit Dataset as FLAC in one zip.

Licence and attribution: FSDD_LICENSE.md beside this file (CC BY-SA 4.0).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppmm.errors import DataError

__all__ = ["LICENSE", "RATE", "Recording", "load_recordings", "pack_recordings"]

RATE = 8000
ARCHIVE = Path(__file__).with_name("fsdd.zip")
LICENSE = Path(__file__).with_name("FSDD_LICENSE.md")
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.(wav|flac)")


class Recording(NamedTuple):
    """One spoken digit: ``name`` as in the original (``7_theo_12``), ``samples`` int16 [time] at 8 kHz."""

    name: str
    digit: int
    speaker: str
    samples: np.ndarray


def load_recordings(archive: Path = ARCHIVE) -> list[Recording]:
    """All recordings of the zip, by name. Raises DataError when it is missing or damaged."""
    import soundfile

    recordings = []
    try:
        with zipfile.ZipFile(archive) as packed:
            for entry in sorted(packed.namelist()):
                found = NAME.fullmatch(entry)
                if found is None:
                    continue
                samples, rate = soundfile.read(io.BytesIO(packed.read(entry)), dtype="int16")
                if rate != RATE or samples.ndim != 1:
                    raise DataError(f"{archive}: {entry} is not mono at {RATE} Hz")
                recordings.append(Recording(Path(entry).stem, int(found[1]), found[2], samples))
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{archive} cannot be read; install ppmm again: {error}") from error
    return recordings


def pack_recordings(folder: Path, out: Path = ARCHIVE, per_cell: int = 20) -> int:
    """Make the zip from the unpacked data set (how ``fsdd.zip`` was made; not needed to use ppmm).

    Args:
        folder: holds ``<digit>_<speaker>_<index>.wav``.
        out: the zip; entries are FLAC, stored as they are, with a fixed date, so that the bytes are reproducible.
        per_cell: recordings of each digit by each speaker, those of the lowest index.

    Returns:
        The number of recordings.
    """
    import soundfile

    cells: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    for path in folder.glob("*.wav"):
        found = NAME.fullmatch(path.name)
        if found is not None:
            cells[found[1], found[2]].append((int(found[3]), path))
    chosen = [path for cell in cells.values() for _, path in sorted(cell)[:per_cell]]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(zipfile.ZipInfo(LICENSE.name), LICENSE.read_text(encoding="utf-8"))
        for path in sorted(chosen):
            samples, rate = soundfile.read(path, dtype="int16")
            buffer = io.BytesIO()
            soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
            packed.writestr(zipfile.ZipInfo(f"{path.stem}.flac"), buffer.getvalue())
    return len(chosen)
