"""Class labels as a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.registry import TARGETS, did_you_mean

__all__ = ["Label"]

MAX_CLASSES = 10_000


@TARGETS.register("label")
class Label:
    """Label -> its index in the list of classes. ``3`` and ``"3"`` are the same label.

    Args:
        classes: the classes in the order of the model's outputs; None to take those of the training split, sorted
            (by number where all are whole numbers).
    """

    kind = "label"
    column: str | None = None
    absent: np.ndarray | None = None

    def __init__(self, classes: list[str | int] | None = None) -> None:
        self.labels: list[str] | None = None
        self._index: dict[str, int] = {}
        if classes is not None:
            self._set([_class_name(name) for name in classes])

    @property
    def out_dim(self) -> int | None:
        """One logit per class; None before they are known."""
        return None if self.labels is None else len(self.labels)

    def __call__(self, value: Any) -> np.ndarray:
        """One label -> int64 scalar array []. Raises DataError for an unknown label or before the classes are known."""
        if self.labels is None:
            raise DataError("the classes are not known yet: fit the target on the training split or list its classes")
        label = _label(value)
        if label not in self._index:
            near = did_you_mean(label, self.labels) if len(self.labels) <= 30 else f"; there are {len(self.labels)}"
            raise DataError(f"no class '{label}'{near}")
        return np.asarray(self._index[label], dtype=np.int64)

    def fit(self, values: Sequence[Any]) -> None:
        """Discover the classes, where they were not listed. Raises DataError when there are none or too many."""
        if self.labels is not None:
            return
        found = {_label(value) for value in values}
        if not found:
            raise DataError("no labels to learn the classes from")
        if len(found) > MAX_CLASSES:
            raise DataError(f"{len(found):,} different labels, at most {MAX_CLASSES:,}: is the column right?")
        whole = all(_is_whole(label) for label in found)
        self._set(sorted(found, key=lambda label: (int(label), label)) if whole else sorted(found))

    def load_labels(self, labels: list[str]) -> None:
        """Take the classes that an earlier run learned, in its order. Raises DataError when other ones are listed."""
        if self.labels is not None and self.labels != labels:
            raise DataError(f"the listed classes are not those of the earlier run: {', '.join(labels[:10])}")
        self._set(labels)

    def _set(self, labels: list[str]) -> None:
        """Raises ConfigError when the list is empty, too long, or names a class twice."""
        if not labels:
            raise ConfigError("classes: the list is empty")
        if len(labels) > MAX_CLASSES:
            raise ConfigError(f"classes: {len(labels):,} are too many; at most {MAX_CLASSES:,}")
        self._index = {label: index for index, label in enumerate(labels)}
        if len(self._index) != len(labels):
            twice = sorted({label for label in labels if labels.count(label) > 1})
            raise ConfigError(f"classes: listed twice: {', '.join(twice)}")
        self.labels = labels


def _class_name(value: Any) -> str:
    """A listed class as text. Raises ConfigError."""
    if isinstance(value, bool):
        raise ConfigError(f"classes: {value} is a truth value; put quotes around yes, no, true, false in the YAML")
    try:
        return _label(value)
    except DataError as error:
        raise ConfigError(f"classes: {error}") from error


def _label(value: Any) -> str:
    """A label as text. Raises DataError for what is neither text nor a whole number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | np.integer):
        raise DataError(f"a label must be text or a whole number, not {type(value).__name__} {ascii(value)[:40]}")
    label = str(value).strip()
    if not label:
        raise DataError("a label is empty")
    return label


def _is_whole(label: str) -> bool:
    digits = label[1:] if label.startswith("-") else label
    return digits.isascii() and digits.isdigit()
