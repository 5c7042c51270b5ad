"""A number as a target: regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.registry import TARGETS

__all__ = ["Number"]


@TARGETS.register("number")
class Number:
    """Number -> float32. Text is read as a number, as in the cells of a CSV file."""

    kind = "number"
    out_dim: int | None = 1
    labels: list[str] | None = None
    column: str | None = None
    absent: np.ndarray | None = None

    def __call__(self, value: Any) -> np.ndarray:
        """One number -> float32 scalar array []. Raises DataError for what is no finite number."""
        number = _number(value)
        if not math.isfinite(number) or abs(number) > np.finfo(np.float32).max:
            raise DataError(f"a number must be finite, not {number}")
        return np.asarray(number, dtype=np.float32)

    def fit(self, values: Sequence[Any]) -> None:
        """Nothing is learned."""

    def load_labels(self, labels: list[str]) -> None:
        """Raises DataError: a number has no labels."""
        raise DataError("a number has no labels")


def _number(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.integer | np.floating):
        raise DataError(f"a number is needed, not {type(value).__name__} {ascii(value)[:40]}")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise DataError(f"a number is needed, not {ascii(value)[:40]}") from error
