"""Matrices as products of two narrow ones, by the singular value decomposition (Eckart and Young 1936)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Decomposition", "decompose", "output_error", "rank_of_energy", "saving_rank"]

SMALLEST = 1e-8
"""Directions in which inputs never point count as this share of the largest one."""
TINY = 1e-300
"""In place of zero below a fraction."""


@dataclass(frozen=True)
class Decomposition:
    """W [in,out] = ``left`` diag(``values``) ``right``, with ``left`` [in,k], ``right`` [k,out], values falling."""

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """A [in,rank] and B [rank,out], each with the root of the singular values: both of a like size."""
        root = np.sqrt(self.values[:rank])
        return self.left[:, :rank] * root, root[:, None] * self.right[:rank]


def decompose(weight: np.ndarray, moments: np.ndarray | None = None) -> Decomposition:
    """The decomposition whose first terms are the best approximation of W, or of x W for the inputs x there are.

    With C = E[x x'] = R'R the error E|x W - x W_r|^2 is |R (W - W_r)|^2, so that R W is decomposed and R undone: the
    whitening of SVD-LLM (Wang et al. 2024, section 3.1), here by the eigenvectors of C, which may be singular.

    Args:
        weight: [in,out].
        moments: C [in,in], or its diagonal [in] (how often each token comes); None for the plain decomposition.
    """
    weight = weight.astype(np.float64)
    if moments is None:
        left, values, right = np.linalg.svd(weight, full_matrices=False)
        return Decomposition(left, values, right)
    if moments.ndim == 1:
        root = np.sqrt(moments + 1.0)  # a token that was not seen counts as if seen once more than never
        left, values, right = np.linalg.svd(root[:, None] * weight, full_matrices=False)
        return Decomposition(left / root[:, None], values, right)
    eigenvalues, vectors = np.linalg.eigh(moments)
    root = np.sqrt(np.maximum(eigenvalues, SMALLEST * max(float(eigenvalues[-1]), TINY)))
    left, values, right = np.linalg.svd((root[:, None] * vectors.T) @ weight, full_matrices=False)
    return Decomposition(vectors @ (left / root[:, None]), values, right)


def rank_of_energy(values: np.ndarray, energy: float) -> int:
    """The least rank whose squared singular values are at least the share ``energy`` of all; 1 of a zero matrix."""
    squares = np.square(values)
    if not squares.any():
        return 1
    share = np.cumsum(squares) / squares.sum()
    return min(int(np.searchsorted(share, energy - 1e-12)) + 1, len(values))


def saving_rank(rows: int, columns: int) -> int:
    """The largest rank with fewer numbers in the factors than in the matrix: rank * (rows + columns) < rows * columns;
    0 where there is none."""
    return (rows * columns - 1) // (rows + columns)


def output_error(weight: np.ndarray, approximation: np.ndarray, moments: np.ndarray | None) -> float:
    """|x W - x W_r| / |x W| over the inputs that ``moments`` were measured of; of the matrices themselves for None."""
    weight = weight.astype(np.float64)
    return float(np.sqrt(_norm(weight - approximation, moments) / max(_norm(weight, moments), TINY)))


def _norm(matrix: np.ndarray, moments: np.ndarray | None) -> float:
    """tr(M' C M)."""
    if moments is None:
        return float(np.square(matrix).sum())
    if moments.ndim == 1:
        return float((moments[:, None] * np.square(matrix)).sum())
    return max(float(((moments @ matrix) * matrix).sum()), 0.0)
