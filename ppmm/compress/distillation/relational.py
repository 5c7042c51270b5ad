"""Relations between the rows of a batch (Park et al. 2019, Relational Knowledge Distillation)."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

__all__ = ["angle_loss", "distance_loss"]

EPSILON = 1e-12


def distance_loss(student: Tensor, teacher: Tensor, rows: Tensor | None = None) -> Tensor:
    """Mean over pairs i != j of huber(d_ij of the teacher, that of the student) (section 3.2.1).

    d_ij = |x_i - x_j| / mu, mu the mean distance of the batch's pairs. Embeddings [B,D], of any two sizes D; ``rows``
    [B] is 1 where a row counts, else 0. 0 where there is no pair.
    """
    pairs = _pairs(student, rows)
    return _mean(_huber(_distances(student, pairs), _distances(teacher, pairs)), pairs)


def angle_loss(student: Tensor, teacher: Tensor, rows: Tensor | None = None) -> Tensor:
    """Mean over triplets i, j, k, all different, of huber(cos of the angle at j) (section 3.2.2); as above."""
    pairs = _pairs(student, rows)
    triplets = pairs.unsqueeze(2) * pairs.unsqueeze(1) * pairs.unsqueeze(0)  # [j,i,k]
    return _mean(_huber(_cosines(student), _cosines(teacher)), triplets)


def _pairs(embed: Tensor, rows: Tensor | None) -> Tensor:
    """1 [B,B] for pairs of different rows that both count."""
    different = 1.0 - paddle.eye(embed.shape[0])
    return different if rows is None else different * rows.unsqueeze(0) * rows.unsqueeze(1)


def _distances(embed: Tensor, pairs: Tensor) -> Tensor:
    """[B,B]; the gradient is finite where two rows are equal."""
    gaps = embed.unsqueeze(0) - embed.unsqueeze(1)
    distances = ((gaps * gaps).sum(axis=-1) + EPSILON).sqrt()
    return distances / paddle.clip(_mean(distances, pairs), min=1e-6)


def _cosines(embed: Tensor) -> Tensor:
    """[j,i,k]: of the angle at row j between the ways to rows i and k."""
    gaps = embed.unsqueeze(0) - embed.unsqueeze(1)
    ways = gaps / ((gaps * gaps).sum(axis=-1, keepdim=True) + EPSILON).sqrt()
    return paddle.matmul(ways, ways, transpose_y=True)


def _huber(student: Tensor, teacher: Tensor) -> Tensor:
    return F.smooth_l1_loss(student, teacher.detach(), reduction="none", delta=1.0)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / paddle.clip(weights.sum(), min=1.0)
