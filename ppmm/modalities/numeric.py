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
        missing: single numbers may be missing: NaN, null, or nothing between two commas. They stay NaN in the batch,
            and the encoder must take them (``mlp``, ``rbf``). A value that is missing as a whole is an absent field.
    """

    kind = "numeric"

    def __init__(self, size: int, missing: bool = False) -> None:
        if size < 1:
            raise ConfigError(f"size: {size} must be at least 1")
        self.size = size
        self.missing = missing

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """One number, a list or array of numbers, or a text of numbers parted by spaces or commas (a CSV cell).

        Returns:
            float32 [size], NaN only where ``missing`` allows it.

        Raises:
            DataError: not ``size`` finite (or, if allowed, missing) numbers.
        """
        parts = value.replace(",", " ").split() if isinstance(value, str) else value
        if self.missing:
            parts = _with_nan(value)
        try:
            numbers = np.asarray(parts)
            if numbers.dtype.kind not in "iufU":
                raise ValueError(f"{type(value).__name__} holds no numbers")
            numbers = np.atleast_1d(numbers.astype(np.float64))
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"expected {self.size} numbers: {error}") from error
        if numbers.shape != (self.size,):
            raise DataError(f"expected {self.size} numbers, found an array of shape {list(numbers.shape)}")
        unknown = np.isnan(numbers) if self.missing else np.zeros(self.size, bool)
        if not (unknown | (np.abs(numbers) <= np.finfo(np.float32).max)).all():
            hint = "no infinity" if self.missing else "no NaN unless the field says missing: true, no infinity"
            raise DataError(f"numbers must be finite ({hint}) and fit into 32 bits")
        return numbers.astype(np.float32)

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, D] float32 and ``has_name`` [B] bool."""
        return stack_fixed(name, arrays, (self.size,), "float32")

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        return {name: FieldSpec((None, self.size), "float32"), f"has_{name}": FieldSpec((None,), "bool")}

    def provides(self) -> dict[str, int]:
        """``in_features`` for a numeric encoder, and ``missing`` where numbers may be NaN."""
        return {"in_features": self.size, **({"missing": True} if self.missing else {})}


def _with_nan(value: Any) -> Any:
    """``value`` with NaN in place of null, an empty text and nothing between two commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if "," in value else value.split()
    if value is None or not isinstance(value, list | tuple):
        return value
    return [np.nan if part is None or (isinstance(part, str) and not part.strip()) else part for part in value]
