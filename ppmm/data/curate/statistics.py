"""What a collection is like: distributions of what was measured, classes, and which columns rows lack together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppmm.data.curate.collection import Collection

__all__ = ["Facts", "class_counts", "distribution", "figures_of", "missing_table"]

Facts = Mapping[str, Mapping[int, Mapping[str, Any]]]


def figures_of(facts: Facts, column: str, name: str) -> np.ndarray:
    """All values of one figure (width, seconds, words ...) of a column, float64 [N], in the order of the rows."""
    return np.array([row[name] for _, row in sorted(facts.get(column, {}).items()) if name in row], dtype=np.float64)


def distribution(values: np.ndarray) -> dict[str, float]:
    """Number, mean, smallest, 5th, 50th and 95th percentile (linear interpolation), largest; {} without values."""
    if len(values) == 0:
        return {}
    low, middle, high = np.percentile(values, [5, 50, 95])
    return {
        "values": len(values), "mean": float(values.mean()), "smallest": float(values.min()), "5 %": float(low),
        "median": float(middle), "95 %": float(high), "largest": float(values.max()),
    }  # fmt: skip


def class_counts(collection: Collection, column: str) -> dict[str, int]:
    """Rows of each class, the most frequent first."""
    return dict(Counter(str(value).strip() for _, value in collection.values(column)).most_common())


def missing_table(collection: Collection) -> dict[tuple[str, ...], int]:
    """Columns that a row has together -> number of rows, the most frequent first. Only images, recordings and texts."""
    columns = collection.columns("image", "audio", "text")
    counts = Counter(
        tuple(column for column in columns if collection.value(index, column) is not None)
        for index in range(len(collection))
    )
    return dict(counts.most_common())
