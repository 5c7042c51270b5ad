"""What a worker computes of a cell for the search of duplicates: the hash of its content and its fingerprint."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ppmm.data.curate.picture_hash import hash_picture, pack
from ppmm.data.curate.spectral_hash import hash_recording
from ppmm.data.curate.work import Cell
from ppmm.hashing import file_sha256
from ppmm.modalities.file_source import read_file
from ppmm.modalities.image_file import decode_image

__all__ = ["MAX_SECONDS", "fingerprint_cells"]

MAX_BYTES, MAX_PIXELS, MAX_SECONDS = 1 << 30, 100_000_000, 3600.0


def fingerprint_cells(cells: list[Cell]) -> list[dict[str, str] | None]:
    """``exact`` (SHA-256) and ``near`` (`pack`) of each image or recording; None where it cannot be read."""
    return [_fingerprint(cell) for cell in cells]


def _fingerprint(cell: Cell) -> dict[str, str] | None:
    try:
        exact = _content_hash(cell.value)
        if cell.kind == "audio":
            return {"exact": exact, "near": pack(hash_recording(cell.value, MAX_SECONDS))}
        return {"exact": exact, "near": pack(hash_picture(_grey(cell.value)))}
    except Exception:  # `check` says why; whatever a damaged file does to a decoder, the others are to be compared
        return None


def _grey(value: Any) -> np.ndarray:
    """uint8 [H, W] of an image."""
    if isinstance(value, np.ndarray):
        pixels = value
    else:
        data = read_file(value, "image", MAX_BYTES) if isinstance(value, str | Path) else bytes(value)
        pixels = decode_image(data, str(value)[:200], MAX_PIXELS)
    return pixels if pixels.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)


def _content_hash(value: Any) -> str:
    if isinstance(value, str | Path):
        return file_sha256(Path(value))
    parts = value if isinstance(value, tuple | list) else [value]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(bytes(part) if isinstance(part, bytes | bytearray | memoryview) else np.asarray(part).tobytes())
    return digest.hexdigest()
