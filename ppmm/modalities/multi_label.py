"""Several labels at once as a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.label import Label
from ppmm.registry import TARGETS

__all__ = ["MultiLabel"]


@TARGETS.register("multi_label")
class MultiLabel:
    """Labels -> 1 for each class that is named, 0 for the others.

    Args:
        classes: the classes in the order of the model's outputs; None to take those of the training split, sorted
            (by number where all are whole numbers).
        separator: between the labels of a text; a list needs none.
        allow_empty: whether a row may lack labels (an empty cell, an empty list): none of the classes, then.
    """

    kind = "multi_label"
    column: str | None = None

    def __init__(self, classes: list[str | int] | None = None, separator: str = "|", allow_empty: bool = False) -> None:
        if not separator:
            raise ConfigError("separator: must not be empty")
        self._label = Label(classes)
        self.separator, self.allow_empty = separator, allow_empty

    @property
    def labels(self) -> list[str] | None:
        """The classes, None before they are known."""
        return self._label.labels

    @property
    def out_dim(self) -> int | None:
        """One logit per class; None before they are known."""
        return self._label.out_dim

    @property
    def absent(self) -> np.ndarray | None:
        """What a row without a value gets; None where it must have one."""
        return np.zeros(len(self.labels), np.float32) if self.allow_empty and self.labels is not None else None

    def __call__(self, value: Any) -> np.ndarray:
        """Labels -> float32 [classes]. Raises DataError for an unknown label, and for none unless they may be empty."""
        names = self._split(value)
        if not names and not self.allow_empty:
            raise DataError("no label; set allow_empty: true where rows may have none")
        indices = [int(self._label(name)) for name in names]
        given = np.zeros(len(self.labels or []), dtype=np.float32)
        given[indices] = 1.0
        return given

    def fit(self, values: Sequence[Any]) -> None:
        """Discover the classes, where they were not listed. Raises DataError when there are none or too many."""
        if self.labels is None:
            self._label.fit([name for value in values for name in self._split(value)])

    def load_labels(self, labels: list[str]) -> None:
        """Take the classes that an earlier run learned, in its order. Raises DataError when other ones are listed."""
        self._label.load_labels(labels)

    def _split(self, value: Any) -> list[Any]:
        if isinstance(value, list | tuple | set | np.ndarray):
            return list(value)
        return [name for name in value.split(self.separator) if name.strip()] if isinstance(value, str) else [value]
