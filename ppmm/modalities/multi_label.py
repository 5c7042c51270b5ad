"""Several labels at once as a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.label import Label
from ppmm.registry import TARGETS, did_you_mean

__all__ = ["MultiLabel"]

EVEN = 0.5
"""The probability from which a label is given, where nothing else is said."""


@TARGETS.register("multi_label")
class MultiLabel:
    """Labels -> 1 for each class that is named, 0 for the others.

    Args:
        classes: the classes in the order of the model's outputs; None to take those of the training split, sorted
            (by number where all are whole numbers).
        separator: between the labels of a text; a list needs none.
        allow_empty: whether a row may lack labels (an empty cell, an empty list): none of the classes, then.
        threshold: an answer gives the labels of at least this probability, above 0 and below 1; one number, or a
            number by class (1/2 for those that are not named). Nothing that is trained depends on it.

    Raises:
        ConfigError: no separator, a threshold that is no probability, or of a class that there is not.
    """

    kind = "multi_label"
    column: str | None = None

    def __init__(
        self,
        classes: list[str | int] | None = None,
        separator: str = "|",
        allow_empty: bool = False,
        threshold: float | dict[str, float] = EVEN,
    ) -> None:
        if not separator:
            raise ConfigError("separator: must not be empty")
        self._label = Label(classes)
        self.separator, self.allow_empty = separator, allow_empty
        self._all = EVEN if isinstance(threshold, Mapping) else threshold
        self._named = dict(threshold) if isinstance(threshold, Mapping) else {}
        for value in (self._all, *self._named.values()):
            if not 0 < value < 1:
                raise ConfigError(f"threshold: {value} is no probability above 0 and below 1")
        self._check_named()

    @property
    def labels(self) -> list[str] | None:
        """The classes, None before they are known."""
        return self._label.labels

    @property
    def thresholds(self) -> list[float] | None:
        """The probability from which each label is given, in the order of the labels; None before they are known."""
        return None if self.labels is None else [self._named.get(label, self._all) for label in self.labels]

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
            self._check_named()

    def load_labels(self, labels: list[str]) -> None:
        """Take the classes that an earlier run learned, in its order. Raises DataError when other ones are listed."""
        self._label.load_labels(labels)
        self._check_named()

    def _check_named(self) -> None:
        """Raises ConfigError for a threshold of a class that there is not, once the classes are known."""
        if self.labels is not None:
            for name in self._named:
                if name not in self.labels:
                    raise ConfigError(f"threshold: no class '{name}'{did_you_mean(name, self.labels)}")

    def _split(self, value: Any) -> list[Any]:
        if isinstance(value, list | tuple | set | np.ndarray):
            return list(value)
        return [name for name in value.split(self.separator) if name.strip()] if isinstance(value, str) else [value]
