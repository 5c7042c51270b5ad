"""Which channels of which parameters belong together: a union-find over every single channel."""

from __future__ import annotations

import numpy as np

__all__ = ["ANCHORED", "ANSWER", "Channels", "Labels"]

Labels = np.ndarray
"""For each index of a dimension the number of the channel that it carries, int64."""
ANCHORED = 0
"""The channel of everything that may not go: batch, time and pixels, inputs, constants."""

ANSWER = "it is an answer of the model"
"""Why the channels of an output layer stay."""


class Channels:
    """Sets of channels that can only go together, and why some of them must stay.

    Args:
        count: channels that there will be at most, beside `ANCHORED`.
    """

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count + 1)
        self._next = 1
        self._reasons: dict[int, str] = {ANCHORED: "it is the size of an input or of a constant"}

    def fresh(self, size: int) -> Labels:
        """New channels of a dimension; one that has a single index is anchored, since nothing can go from it."""
        if size == 1:
            return np.zeros(1, dtype=np.int64)
        start, self._next = self._next, self._next + size
        return np.arange(start, self._next)

    def roots(self, labels: Labels) -> Labels:
        """The representative of each channel's set."""
        found = self._parents[labels]
        while True:
            higher = self._parents[found]
            if np.array_equal(higher, found):
                break
            found = higher
        self._parents[labels] = found
        return found

    def unite(self, first: Labels, second: Labels, why: str) -> None:
        """Index by index, the two carry the same channel. ``why`` is kept where that anchors one of them."""
        one, two = self.roots(first), self.roots(second)
        for left, right in zip(one[one != two].tolist(), two[one != two].tolist(), strict=True):
            if ANCHORED in (left, right):
                self._reasons.setdefault(self._root(left or right), why)
            else:
                self._merge(self._root(left), self._root(right))

    def fix(self, labels: Labels, why: str) -> None:
        """These channels must stay."""
        for root in np.unique(self.roots(labels)).tolist():
            self._reasons.setdefault(root, why)

    def is_fixed(self, labels: Labels) -> np.ndarray:
        """Which of them must stay: bool."""
        return np.isin(self.roots(labels), np.fromiter(self._reasons, dtype=np.int64))

    def reason(self, label: int) -> str | None:
        """Why a channel must stay; None where it need not."""
        return self._reasons.get(self._root(label))

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            label = int(self._parents[label])
        return label

    def _merge(self, one: int, two: int) -> None:
        low, high = min(one, two), max(one, two)
        if low != high:
            self._parents[high] = low
            if high in self._reasons:
                reason = self._reasons.pop(high)
                self._reasons.setdefault(low, reason)
