"""Radial basis functions: units that answer to how near an input is to their centre (Broomhead and Lowe 1988)."""

from __future__ import annotations

import math

import numpy as np
import paddle
from paddle import Tensor, nn

__all__ = ["RBF", "nearest_distances", "squared_distances"]

SMALLEST_WIDTH = 1e-3
JITTER = 0.01


class RBF(nn.Layer):
    """Gaussian units phi_j(x) = exp(-||x - c_j||^2 / (2 s_j^2)) with learnable centres c_j and log widths log s_j.

    Without `init_from` the centres are drawn from a unit normal and the widths are sqrt(in_dim), so that inputs of unit
    variance are answered with about exp(-1).

    Args:
        in_dim: size D of an input.
        centres: number K of units.

    Inputs: x [B,D]. Returns: [B,K] in 0..1. Raises ValueError for sizes below 1.
    """

    def __init__(self, in_dim: int, centres: int) -> None:
        super().__init__()
        if in_dim < 1 or centres < 1:
            raise ValueError(f"in_dim and centres must be at least 1, got {in_dim} and {centres}")
        normal, width = nn.initializer.Normal(), nn.initializer.Constant(0.5 * math.log(in_dim))
        self.centres = self.create_parameter([centres, in_dim], default_initializer=normal)
        self.log_width = self.create_parameter([centres], default_initializer=width)
        self.out_dim = centres

    def forward(self, x: Tensor) -> Tensor:
        return paddle.exp(-0.5 * squared_distances(x, self.centres) * paddle.exp(-2.0 * self.log_width))

    def init_from(self, inputs: Tensor) -> None:
        """Centres by k-means, widths from the distance to the nearest other centre (Moody and Darken 1989).

        Equal rows count once (rows that lack the field are all zeros). With fewer different rows than centres, rows are
        taken several times, moved by a hundredth of their spread. Draws from Paddle's generator, so that the run's seed
        decides.

        Args:
            inputs: [N,D] of what the layer gets in training, finite.

        Raises ValueError when there is no row.
        """
        from sklearn.cluster import KMeans

        rows = np.unique(inputs.numpy().astype(np.float64), axis=0)
        if not len(rows):
            raise ValueError("radial basis functions need at least one input to start from")
        count = self.out_dim
        seed = int(paddle.randint(0, 2**31 - 1, [1]).item())
        if len(rows) > count:
            found = KMeans(count, n_init=1, random_state=seed).fit(rows)
            centres, spread = found.cluster_centers_, math.sqrt(found.inertia_ / len(rows))
        else:
            rng = np.random.default_rng(seed)
            again = rows[rng.integers(0, len(rows), size=count - len(rows))]
            moved = again + rng.normal(size=again.shape) * JITTER * (rows.std(axis=0) + SMALLEST_WIDTH)
            centres, spread = np.concatenate([rows, moved]), float(np.sqrt(rows.var(axis=0).sum()))
        widths = nearest_distances(centres) if count > 1 else np.array([spread])
        typical = float(np.median(widths)) or spread
        widths = np.maximum(widths, max(0.1 * typical, SMALLEST_WIDTH))
        self.centres.set_value(centres.astype("float32"))
        self.log_width.set_value(np.log(widths).astype("float32"))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """||x_i - y_j||^2 of x [N,D] and y [M,D]: [N,M].

    Expanded to norms and a product, which needs no [N,M,D]; both are moved by the mean of y first, so that little is
    lost to rounding where the data is far from 0.
    """
    middle = y.mean(axis=0, keepdim=True).detach()
    x, y = x - middle, y - middle
    squares = (x * x).sum(axis=1, keepdim=True) + (y * y).sum(axis=1).unsqueeze(0)
    return paddle.clip(squares - 2.0 * paddle.matmul(x, y, transpose_y=True), min=0.0)


def nearest_distances(centres: np.ndarray) -> np.ndarray:
    """Distance of each of centres [K,D] to the nearest other one: [K]; K is at least 2."""
    from scipy.spatial import cKDTree

    distances, _ = cKDTree(centres).query(centres, k=2)
    nearest: np.ndarray = distances[:, 1]
    return nearest
