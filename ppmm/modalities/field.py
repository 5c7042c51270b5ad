"""What fields share: the no-op parts of the contract, and collation with `has_F` flags and masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FieldBase", "pad_ragged", "stack_fixed"]

Arrays = Sequence[np.ndarray | None]


class FieldBase:
    """A field that learns nothing and saves nothing; subclasses override what they need."""

    kind: str

    def provides(self) -> dict[str, int]:
        """No sizes."""
        return {}

    def fit(self, values: Sequence[Any]) -> None:
        """Nothing to learn."""

    def save_assets(self, folder: Path) -> list[str]:
        """Nothing to write."""
        return []

    def load_assets(self, folder: Path) -> None:
        """Nothing to read."""


def stack_fixed(name: str, arrays: Arrays, shape: tuple[int, ...], dtype: str) -> dict[str, np.ndarray]:
    """Stack arrays of one shape; an absent one becomes zeros.

    Args:
        name: field name F, prefix of the keys.
        arrays: one array of ``shape`` per row, None where absent.

    Returns:
        ``F`` [B, *shape] and ``has_F`` [B] bool.
    """
    batch = np.empty((len(arrays), *shape), dtype=dtype)
    for row, array in enumerate(arrays):
        batch[row] = 0 if array is None else array
    return {name: batch, f"has_{name}": _present(arrays)}


def pad_ragged(
    name: str, arrays: Arrays, tail: tuple[int, ...], dtype: str, min_length: int = 1
) -> dict[str, np.ndarray]:
    """Pad arrays with zeros along their first axis to the longest one.

    Args:
        name: field name F, prefix of the keys.
        arrays: one array [L_i, *tail] per row, None where absent.
        tail: shape after the first axis, which every array shares.
        min_length: length of the batch at the least, also where every row is absent.

    Returns:
        ``F`` [B, L, *tail], ``F_mask`` [B, L] bool (False on padding and on absent rows), ``has_F`` [B] bool.
    """
    lengths = [0 if array is None else len(array) for array in arrays]
    longest = max([min_length, *lengths])
    batch = np.empty((len(arrays), longest, *tail), dtype=dtype)
    for row, array in enumerate(arrays):
        if array is not None:
            batch[row, : len(array)] = array
        batch[row, lengths[row] :] = 0
    mask = np.arange(longest)[None, :] < np.asarray(lengths, dtype=np.int64)[:, None]
    return {name: batch, f"{name}_mask": mask, f"has_{name}": _present(arrays)}


def _present(arrays: Arrays) -> np.ndarray:
    return np.array([array is not None for array in arrays], dtype=bool)
