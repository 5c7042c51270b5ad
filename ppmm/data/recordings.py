"""Recordings in a folder by the stem of their names: caption lists seldom know the suffix."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["recordings_in"]

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def recordings_in(folder: Path) -> dict[str, str]:
    """Stem -> file name; of several with one stem, the first of WAV, FLAC, OGG, MP3."""
    found: dict[str, str] = {}
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)]
    for name in sorted(names, key=lambda name: (SUFFIXES.index(Path(name).suffix.lower()), name)):
        found.setdefault(Path(name).stem, name)
    return found
