"""A training batch as pictures: what the model sees, after augmentation and normalisation."""

from __future__ import annotations

import numpy as np

from ppmm.types import Batch

__all__ = ["batch_pictures"]


def batch_pictures(batch: Batch, count: int) -> dict[str, list[np.ndarray]]:
    """Pictures uint8 [height, width, 3] of the first ``count`` rows that have the field, by field.

    Of images [B,C,H,W] with one or three channels, and of audio features [B,T,M] as spectrograms: time runs to the
    right, the lowest band is at the bottom, padding is left out. Each picture is stretched to its own least and
    greatest value, since normalised pixels have no scale. What is not finite is black.
    """
    pictures: dict[str, list[np.ndarray]] = {}
    for name, tensor in batch.items():
        if f"has_{name}" not in batch or "float" not in str(tensor.dtype) or len(tensor.shape) not in (3, 4):
            continue
        if len(tensor.shape) == 4 and tensor.shape[1] not in (1, 3):
            continue
        rows = np.flatnonzero(batch[f"has_{name}"].numpy())[:count].tolist()
        lengths = batch[f"{name}_mask"].numpy().sum(-1) if f"{name}_mask" in batch else None
        pictures[name] = [
            _picture(tensor[row].numpy(), None if lengths is None else max(1, int(lengths[row]))) for row in rows
        ]
    return pictures


def _picture(array: np.ndarray, length: int | None) -> np.ndarray:
    """One row, [C,H,W] or [T,M], as uint8 [height, width, 3]."""
    values = np.moveaxis(array, 0, -1) if array.ndim == 3 else array[:length].T[::-1, :, np.newaxis]
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    scaled = np.where(finite, (values - low) / (high - low if high > low else 1.0), 0.0)
    return np.ascontiguousarray(np.broadcast_to(np.rint(255 * scaled).astype(np.uint8), (*values.shape[:2], 3)))
