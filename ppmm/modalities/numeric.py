"""Vectors of numbers (sensor values, tabular columns) as a field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.field import FieldBase, stack_fixed
from ppmm.registry import FIELDS
from ppmm.types import FieldSpec

__all__ = ["NumericField"]


@FIELDS.register("numeric")
class NumericField(FieldBase):
    """``size`` numbers -> float32 [size].

    Args:
        size: how many numbers each value holds.
    """

    kind = "numeric"

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"size: {size} must be at least 1")
        self.size = size

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """One number, a list or array of numbers, or a text of numbers parted by spaces or commas (a CSV cell).

        Returns:
            float32 [size].

        Raises:
            DataError: not ``size`` finite numbers.
        """
        parts = value.replace(",", " ").split() if isinstance(value, str) else value
        try:
            numbers = np.asarray(parts)
            if numbers.dtype.kind not in "iufU":
                raise ValueError(f"{type(value).__name__} holds no numbers")
            numbers = np.atleast_1d(numbers.astype(np.float64))
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"expected {self.size} numbers: {error}") from error
        if numbers.shape != (self.size,):
            raise DataError(f"expected {self.size} numbers, found an array of shape {list(numbers.shape)}")
        if not (np.abs(numbers) <= np.finfo(np.float32).max).all():
            raise DataError("numbers must be finite (no NaN, no infinity) and fit into 32 bits")
        return numbers.astype(np.float32)

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, D] float32 and ``has_name`` [B] bool."""
        return stack_fixed(name, arrays, (self.size,), "float32")

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        return {name: FieldSpec((None, self.size), "float32"), f"has_{name}": FieldSpec((None,), "bool")}

    def provides(self) -> dict[str, int]:
        """``in_features`` for a numeric encoder."""
        return {"in_features": self.size}
