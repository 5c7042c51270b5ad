"""What only shows when rows are compared: ids twice, rates that differ, misspelt labels, classes out of balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ppmm.data.curate.collection import Collection
from ppmm.data.curate.findings import Finding
from ppmm.data.curate.label_typos import find_typos
from ppmm.data.curate.limits import Limits

__all__ = ["check_columns"]

SHOWN = 12
"""Classes that one finding names."""


def check_columns(
    collection: Collection, facts: Mapping[str, Mapping[int, Mapping[str, Any]]], limits: Limits
) -> Iterator[Finding]:
    """Findings of one collection.

    Args:
        collection: the rows.
        facts: column -> row index -> figures, as `check_collections` measured them.
        limits: the bounds.
    """
    for column in collection.columns("id"):
        yield from _duplicate_ids(collection, column)
    for column in collection.columns("audio"):
        yield from _rates(collection, column, facts.get(column, {}))
    for column in collection.columns("label"):
        yield from _typos(collection, column)
        yield from _imbalance(collection, column, limits.imbalance)


def _duplicate_ids(collection: Collection, column: str) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, value in collection.values(column):
        earlier = first.setdefault(str(value), index)
        if earlier != index:
            yield _at(collection, index, column, "duplicate_id", f"row {collection.line(earlier)} has this id too")


def _rates(collection: Collection, column: str, facts: Mapping[int, Mapping[str, Any]]) -> Iterator[Finding]:
    rates = {index: figures["rate"] for index, figures in facts.items() if "rate" in figures}
    counts = Counter(rates.values())
    if len(counts) < 2:
        return
    usual, number = max(counts.items(), key=lambda item: (item[1], item[0]))
    for index, rate in rates.items():
        if rate != usual:
            yield _at(collection, index, column, "sample_rate", f"{rate} Hz; {number:,} others have {usual} Hz")


def _typos(collection: Collection, column: str) -> Iterator[Finding]:
    labels = {index: str(value) for index, value in collection.values(column)}
    wrong = find_typos(Counter(labels.values()))
    for index, label in labels.items():
        if label in wrong:
            yield _at(collection, index, column, "label_typo", f"{label!r}: did you mean {wrong[label]!r}?")


def _imbalance(collection: Collection, column: str, largest: float) -> Iterator[Finding]:
    counts = Counter(str(value).strip() for _, value in collection.values(column)).most_common()
    if len(counts) < 2 or counts[0][1] <= largest * counts[-1][1]:
        return
    rare = [f"{label} ({count:,})" for label, count in reversed(counts) if count * largest < counts[0][1]]
    more = f" and {len(rare) - SHOWN} more" if len(rare) > SHOWN else ""
    detail = f"{counts[0][0]} has {counts[0][1]:,} rows, more than {largest:g} times: {', '.join(rare[:SHOWN])}{more}"
    yield Finding("imbalance", collection.name, None, None, None, column, detail)


def _at(collection: Collection, index: int, column: str, kind: str, detail: str) -> Finding:
    return Finding(kind, collection.name, index, collection.line(index), collection.id(index), column, detail)
