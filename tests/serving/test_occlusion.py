"""Pictures with a part hidden, and the answer that is followed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ppmm.errors import DataError
from ppmm.serving.occlusion import GRID, hidden_parts, strongest


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def test_each_part_takes_the_mean_colour_in_one_copy() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 48, 3), dtype=np.uint8)
    parts = [cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR) for part in hidden_parts(png(pixels))]
    assert len(parts) == GRID * GRID
    changed = np.stack([(part != pixels).any(axis=2) for part in parts])
    assert (changed.sum(axis=0) <= 1).all() and changed.sum() > 0.98 * 60 * 48  # a pixel may have that colour already
    assert not changed[0, 10:].any() and not changed[0, :, 8:].any()
    mean = pixels.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    np.testing.assert_array_equal(parts[0][:10, :8].reshape(-1, 3), np.broadcast_to(mean, (80, 3)))


def test_grey_and_large_pictures_and_none() -> None:
    grey = hidden_parts(png(np.full((1200, 600), 7, np.uint8)))
    assert cv2.imdecode(np.frombuffer(grey[0], np.uint8), cv2.IMREAD_COLOR).shape == (512, 256, 3)
    with pytest.raises(DataError):
        hidden_parts(b"no picture")


def test_the_strongest_answer() -> None:
    result = {"answer": "b", "probabilities": {"a": 0.2, "b": 0.8}, "thresholds": {"a": 0.9}}
    assert strongest(result) == ("probabilities", "b", 0.8)
    assert strongest({"embeddings": {"text": [0.1]}}) is None
