"""Which weights go when single ones do, and how many at which time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

__all__ = ["compressibility", "gradual", "largest_half_of_four", "magnitude_masks", "sparsity_of"]


def magnitude_masks(weights: Mapping[str, np.ndarray], ratio: float, ranking: str) -> dict[str, np.ndarray]:
    """True where a weight stays: the smallest absolute values go.

    Args:
        weights: by layer, of any shape.
        ratio: share that goes, of all weights together (``global``) or of each layer (``uniform``).
    """
    if ranking == "global":
        every = np.concatenate([np.abs(array).ravel() for array in weights.values()])
        keep = _largest(every, ratio)
        ends = np.cumsum([array.size for array in weights.values()])[:-1]
        parts = np.split(keep, ends)
        return {name: part.reshape(weights[name].shape) for name, part in zip(weights, parts, strict=True)}
    return {name: _largest(np.abs(array).ravel(), ratio).reshape(array.shape) for name, array in weights.items()}


def _largest(sizes: np.ndarray, ratio: float) -> np.ndarray:
    """All but the ``ratio`` smallest; among equals the first go."""
    keep = np.ones(sizes.size, dtype=bool)
    keep[np.argsort(sizes, kind="stable")[: round(ratio * sizes.size)]] = False
    return keep


def largest_half_of_four(weight: np.ndarray, axis: int) -> np.ndarray | None:
    """True where a weight stays when of every four neighbours along ``axis`` the two largest do (2:4).

    None where the axis is no multiple of four. Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks".
    """
    sizes = np.moveaxis(np.abs(weight), axis, -1)
    if sizes.shape[-1] % 4:
        return None
    fours = sizes.reshape(-1, 4)
    keep = np.zeros(fours.shape, dtype=bool)
    np.put_along_axis(keep, np.argsort(-fours, axis=1, kind="stable")[:, :2], True, axis=1)
    return np.moveaxis(keep.reshape(sizes.shape), -1, axis)


def gradual(ratio: float, rounds: int) -> list[float]:
    """The share that has gone after each round: r (1 - (1 - t)^3), Zhu and Gupta 2017, equation 1."""
    return [ratio * (1.0 - (1.0 - number / rounds) ** 3) for number in range(1, rounds + 1)]


def sparsity_of(weights: Mapping[str, np.ndarray]) -> float:
    """The share of zeros."""
    total = sum(array.size for array in weights.values())
    return sum(int((array == 0).sum()) for array in weights.values()) / total if total else 0.0


def compressibility(weights: Mapping[str, np.ndarray]) -> float:
    """Bytes after zlib as a share of those before: what a compressed archive of the file would win."""
    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())
    return len(zlib.compress(raw, 6)) / len(raw) if raw else 1.0
