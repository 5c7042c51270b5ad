"""The Gaussian kernel as a similarity of two sets of embeddings."""

from __future__ import annotations

import math

import numpy as np
import paddle
from paddle import Tensor, nn

from ppmm.models.layers.rbf import squared_distances

__all__ = ["RBFKernel"]

MOST_ROWS = 2000


class RBFKernel(nn.Layer):
    """k(x, y) = exp(-||x - y||^2 / (2 s^2)) with one learnable log width.

    Of L2-normalised embeddings it is exp((cos(x, y) - 1) / s^2): the cosine with a temperature.

    Args:
        width: s at the start; positive.

    Inputs: x [N,D], y [M,D]. Returns: similarities [N,M] in 0..1, 1 where equal. Raises ValueError.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if not width > 0:
            raise ValueError(f"width must be positive, got {width}")
        start = nn.initializer.Constant(math.log(width))
        self.log_width = self.create_parameter([1], default_initializer=start)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return paddle.exp(self.log_similarity(x, y))

    def log_similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """-||x - y||^2 / (2 s^2) [N,M]: the logits of a softmax over similarities."""
        return -0.5 * squared_distances(x, y) * paddle.exp(-2.0 * self.log_width)

    def init_from(self, inputs: Tensor) -> None:
        """The median distance of two rows of inputs [N,D] becomes the width (Gretton et al. 2012, section 8).

        Left as it is where all rows are equal.
        """
        from scipy.spatial.distance import pdist

        rows = inputs.numpy().astype(np.float64)
        rows = rows[:: -(-len(rows) // MOST_ROWS)] if len(rows) else rows
        distances = pdist(rows) if len(rows) > 1 else np.zeros(1)
        median = float(np.median(distances))
        if median > 0:
            self.log_width.set_value(np.log([median]).astype("float32"))
