"""What a sample is known to be like, as a target beside the answer: helps an encoder to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.registry import TARGETS

__all__ = ["Attributes"]


@TARGETS.register("attributes")
class Attributes:
    """A list of so many zeros and ones -> float32 [size], in the order that the data set gives them.

    They are not the task's answer and have no names: a side head of the model learns them (``attributes`` of
    ``late_fusion``) with the objective ``bce``, and no exported graph answers them.

    Args:
        size: how many there are.
    """

    kind = "attributes"
    labels: list[str] | None = None
    out_dim: int | None = None
    column: str | None = None
    absent: np.ndarray | None = None

    def __init__(self, size: int = 1) -> None:
        if size < 1:
            raise ConfigError(f"size: {size} must be at least 1")
        self.size = size

    def __call__(self, value: Any) -> np.ndarray:
        """Zeros and ones -> float32 [size]. Raises DataError for another number of them, or other values."""
        array = np.asarray(value if isinstance(value, list | tuple | np.ndarray) else [])
        if array.shape != (self.size,):
            raise DataError(f"attributes must be a list of {self.size} zeros and ones, not {ascii(value)[:60]}")
        if array.dtype.kind not in "buif" or not np.isin(array, (0, 1)).all():
            raise DataError(f"attributes must be 0 or 1, not {ascii(value)[:60]}")
        return array.astype(np.float32)

    def fit(self, values: Sequence[Any]) -> None:
        """Nothing is learned."""

    def load_labels(self, labels: list[str]) -> None:
        """Raises DataError: attributes have no labels."""
        raise DataError("attributes have no labels")
