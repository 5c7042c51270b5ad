"""Where a model looks in a picture: how much its answer loses when a part of it is hidden (Zeiler and Fergus 2014)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from ppmm.errors import DataError
from ppmm.modalities.image_file import decode_image

__all__ = ["GRID", "hidden_parts", "strongest"]

GRID = 6


def hidden_parts(picture: bytes, max_side: int = 512, max_pixels: int = 50_000_000) -> list[bytes]:
    """The picture with each of GRID x GRID parts painted in its mean colour, as PNG files, row by row.

    Raises DataError where it cannot be read.
    """
    pixels = decode_image(picture, "of the form", max_pixels)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR if pixels.ndim == 2 else cv2.COLOR_RGB2BGR)
    shrink = max_side / max(pixels.shape[:2])
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    colour = pixels.reshape(-1, pixels.shape[2]).mean(axis=0)
    height, width = pixels.shape[:2]
    rows, columns = (np.linspace(0, side, GRID + 1).astype(int) for side in (height, width))
    parts = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            hidden = pixels.copy()
            hidden[top:bottom, left:right] = colour
            done, file = cv2.imencode(".png", hidden)
            if not done:
                raise DataError("the picture cannot be written")
            parts.append(file.tobytes())
    return parts


def strongest(result: Mapping[str, Any]) -> tuple[str, str, float] | None:
    """(key of the probabilities, label, probability) of the first answer of a result that has probabilities."""
    for key, value in result.items():
        if key.endswith("probabilities") and isinstance(value, dict) and value:
            label = max(value, key=lambda each: value[each])
            return key, label, float(value[label])
    return None
