"""Rows sorted into fit and unfit. Nothing is deleted: what goes and what stays are both written down."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Sequence
from dataclasses import dataclass

from ppmm.data.curate.collection import Collection
from ppmm.data.curate.duplicates import Group
from ppmm.data.curate.findings import Finding

__all__ = ["Reason", "duplicate_reasons", "finding_reasons", "sort_rows"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row goes: number of its collection, its index, and the words."""

    collection: int
    index: int
    text: str


def finding_reasons(collections: Sequence[Collection], findings: Sequence[Finding], kinds: Names[str]) -> list[Reason]:
    """Findings of these kinds, as reasons."""
    number = {collection.name: place for place, collection in enumerate(collections)}
    return [
        Reason(number[finding.split], finding.index, f"{finding.kind}: {finding.column}: {finding.detail}")
        for finding in findings
        if finding.index is not None and finding.kind in kinds
    ]


def duplicate_reasons(collections: Sequence[Collection], groups: Sequence[Group]) -> list[Reason]:
    """All rows of a group but that of its first place go."""
    names = [collection.name for collection in collections]
    reasons = []
    for group in groups:
        kept = group.places[0]
        seen = {(kept.collection, kept.index)}
        for place in group.places:
            if (place.collection, place.index) in seen:
                continue
            seen.add((place.collection, place.index))
            same = "equal to" if group.exact else "nearly equal to"
            keeper = f"{names[kept.collection]} row {collections[kept.collection].line(kept.index)}"
            reasons.append(Reason(place.collection, place.index, f"duplicate: {place.column}: {same} {keeper}"))
    return reasons


def sort_rows(collection: Collection, number: int, reasons: Sequence[Reason]) -> tuple[list[int], dict[int, list[str]]]:
    """(indices that stay, index -> reasons of those that go) of the collection with this number."""
    gone: dict[int, list[str]] = {}
    for reason in reasons:
        if reason.collection == number:
            gone.setdefault(reason.index, []).append(reason.text)
    return [index for index in range(len(collection)) if index not in gone], dict(sorted(gone.items()))
