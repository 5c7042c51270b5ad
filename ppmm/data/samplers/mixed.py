"""Several data sets in given proportions."""

from __future__ import annotations

import math

import numpy as np

from ppmm.data.columns import group_starts
from ppmm.data.samplers.quota import quota_order, quotas_of
from ppmm.errors import ConfigError
from ppmm.registry import SAMPLERS
from ppmm.types import Dataset

__all__ = ["Mixed"]


@SAMPLERS.register("mixed")
class Mixed:
    """Epochs in which the parts of a ``concat`` data set have the shares ``weights``.

    Args:
        weights: one per part, above 0; they need not sum to 1.
        rows: of an epoch; None for as many as all parts have.

    Raises:
        ConfigError: a setting out of its range.
    """

    def __init__(self, weights: list[float], rows: int | None = None) -> None:
        if not weights or not all(0.0 < weight < math.inf for weight in weights) or (rows is not None and rows < 1):
            raise ConfigError("weights must be above 0 and finite, rows at least 1")
        self.weights = list(weights)
        self.rows = rows

    def order(self, rows: Dataset, seed: int, epoch: int) -> np.ndarray:
        """Row numbers of an epoch, int64 [N]. Raises ConfigError when there are not as many parts as weights."""
        starts = group_starts(rows)
        if len(starts) != len(self.weights):
            raise ConfigError(
                f"loader.sampler: {len(self.weights)} weights for {len(starts)} parts of data.train; give one for each "
                "part of a data set named concat"
            )
        ends = [*starts[1:].tolist(), len(rows)]
        groups = [np.arange(start, end) for start, end in zip(starts.tolist(), ends, strict=True)]
        names = [f"part {number}" for number in range(1, len(groups) + 1)]
        return quota_order(groups, quotas_of(self.weights, self.rows or len(rows), names), seed, epoch)
