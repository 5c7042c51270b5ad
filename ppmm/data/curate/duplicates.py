"""Groups of equal and nearly equal images, recordings and texts, within and between splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.data.curate.collection import MEDIA, Collection
from ppmm.data.curate.fingerprints import fingerprint_cells
from ppmm.data.curate.groups import join
from ppmm.data.curate.hash_index import near_pairs
from ppmm.data.curate.journal import Journal
from ppmm.data.curate.picture_hash import agreement, unpack
from ppmm.data.curate.text_duplicates import fold_text, near_texts
from ppmm.data.curate.work import Cell, Engine, blocks, cell_keys, run_cells
from ppmm.errors import ConfigError

__all__ = ["Duplicates", "Group", "Nearness", "Place", "find_duplicates"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is: number of the collection, row index, column."""

    collection: int
    index: int
    column: str


@dataclass(frozen=True, slots=True)
class Group:
    """Places whose values are the same (``exact``) or nearly the same as that of the first, which is to be kept."""

    kind: str
    exact: bool
    places: list[Place]

    @property
    def collections(self) -> set[int]:
        """Numbers of the collections in it; more than one is a leak between splits."""
        return {place.collection for place in self.places}


@dataclass(frozen=True)
class Nearness:
    """When two values count as nearly equal.

    Args:
        bits: largest Hamming distance of two 64-bit fingerprints.
        image_agreement: smallest correlation of two images at 16 x 16.
        audio_agreement: smallest correlation of two spectra at 16 x 16.
        text: smallest Jaccard similarity of two texts' three-letter pieces.
        near: False finds equal values only.
    """

    bits: int = 10
    image_agreement: float = 0.97
    audio_agreement: float = 0.98
    text: float = 0.7
    near: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError for values out of range."""
        if not 0 <= self.bits <= 15:
            raise ConfigError(f"bits: {self.bits} must be from 0 to 15")
        for name in ("image_agreement", "audio_agreement", "text"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}: {getattr(self, name)} must be above 0 and at most 1")


@dataclass(frozen=True)
class Duplicates:
    """Groups by kind of value, and the number of values that could not be read."""

    groups: list[Group]
    unreadable: int


def find_duplicates(
    collections: Sequence[Collection],
    columns: Iterable[str] | None,
    nearness: Nearness,
    engine: Engine,
    journal: Journal,
    label: str = "dedup",
) -> Duplicates:
    """Compare every image with every image, every recording and text likewise, over all collections.

    The first place of a group is in another split than the training one (the split ``train``, else the first of
    several) where it can be: rows leave the training split, so that figures on the others remain comparable.

    Args:
        collections: the splits.
        columns: to be compared; None for all images, recordings and texts.
        nearness: what counts as near.
        engine: who computes the fingerprints.
        journal: fingerprints that are known.
        label: of the progress bar.
    """
    chosen = None if columns is None else set(columns)
    groups: list[Group] = []
    unreadable = 0
    for kind in MEDIA:
        places, prints = [], []
        for block in blocks(_cells(collections, chosen, kind), lambda item: item[1]):
            cells = [Cell(kind, value) for _, value in block]
            keys = cell_keys(cells, VERSION, "fingerprint")
            places += [place for place, _ in block]
            prints += run_cells(fingerprint_cells, cells, keys, engine, journal, f"{label} {kind}", lambda cell: None)
        unreadable += sum(one is None for one in prints)
        read = [place for place, one in zip(places, prints, strict=True) if one is not None]
        known = [one for one in prints if one is not None]
        least = nearness.image_agreement if kind == "image" else nearness.audio_agreement
        found = _media_groups(kind, read, known, nearness, least)
        groups += [rest for group in found if (rest := _without_sharers(group, collections)) is not None]
    texts = list(_cells(collections, chosen, "text"))
    return Duplicates(groups + _text_groups([p for p, _ in texts], [v for _, v in texts], nearness), unreadable)


def _without_sharers(group: Group, collections: Sequence[Collection]) -> Group | None:
    """The group without rows that only share the file of its first place; None where nothing else is left.

    A picture with several captions or questions has several rows, each of its own worth.
    """
    first = group.places[0]
    rest = [place for place in group.places[1:] if not _shares(collections[first.collection], first, place)]
    return Group(group.kind, group.exact, [first, *rest]) if rest else None


def _shares(collection: Collection, first: Place, other: Place) -> bool:
    """Whether two rows of a collection name the same file and differ in another image, recording or text."""
    if (first.collection, first.column) != (other.collection, other.column):
        return False
    file = collection.value(first.index, first.column)
    if not isinstance(file, str | Path) or file != collection.value(other.index, other.column):
        return False
    others = (column for column in collection.columns(*MEDIA, "text") if column != first.column)
    pairs = ((collection.value(first.index, column), collection.value(other.index, column)) for column in others)
    return any(not _equal(one, two) for one, two in pairs)


def _equal(one: Any, two: Any) -> bool:
    """Equality of values, arrays among them."""
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return np.array_equal(one, two)
    if isinstance(one, tuple) and isinstance(two, tuple):
        return len(one) == len(two) and all(map(_equal, one, two))
    return bool(one == two)


def _cells(collections: Sequence[Collection], columns: set[str] | None, kind: str) -> Iterator[tuple[Place, Any]]:
    """Every value of a kind; of a list (several captions of a picture) each one."""
    for number in _evaluation_first(collections):
        collection = collections[number]
        for column in collection.columns(kind):
            if columns is not None and column not in columns:
                continue
            for index, value in collection.values(column):
                several = value if kind == "text" and isinstance(value, list | tuple) else [value]
                for one in several:
                    yield Place(number, index, column), one


def _evaluation_first(collections: Sequence[Collection]) -> list[int]:
    names = [collection.name for collection in collections]
    train = names.index("train") if "train" in names else 0
    return [number for number in range(len(names)) if number != train] + [train]


def _media_groups(
    kind: str, places: list[Place], prints: list[dict[str, str]], nearness: Nearness, least: float
) -> list[Group]:
    unique, number = _number([one["exact"] for one in prints])
    stand_in, pairs = list(range(len(unique))), list[tuple[int, int]]()
    if nearness.near and unique:
        near = {one["exact"]: one["near"] for one in prints}
        stand_in, pairs = _near_media([near[exact] for exact in unique], nearness.bits, least)
    return _groups(kind, places, number, stand_in, pairs)


def _near_media(packed: list[str], bits: int, least: float) -> tuple[list[int], list[tuple[int, int]]]:
    """Different files that are near.

    Args:
        packed: fingerprint of each file.
        bits: largest distance of the hashes.
        least: smallest agreement of the descriptors.

    Returns:
        For each file the one that stands for it (the first with the same hash, where they agree, else itself), and
        pairs of such.
    """
    hashes, descriptors = unpack(packed)
    distinct, first, owner = np.unique(hashes, return_index=True, return_inverse=True)
    own = np.arange(len(hashes))
    stand_in = np.where(_agree(descriptors, first[owner], own, least), first[owner], own)
    pairs = first[near_pairs(distinct, bits)]
    pairs = pairs[_agree(descriptors, pairs[:, 0], pairs[:, 1], least)]
    return stand_in.tolist(), [(int(one), int(two)) for one, two in pairs]


def _agree(descriptors: np.ndarray, one: np.ndarray, two: np.ndarray, least: float) -> np.ndarray:
    """Whether pairs of descriptors agree, bool [N]; in blocks, to bound the memory."""
    parts = [agreement(descriptors[a], descriptors[b]) >= least for a, b in _blocks(one, two)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _blocks(one: np.ndarray, two: np.ndarray, size: int = 200_000) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    return ((one[start : start + size], two[start : start + size]) for start in range(0, len(one), size))


def _text_groups(places: list[Place], values: list[Any], nearness: Nearness) -> list[Group]:
    unique, number = _number([fold_text(str(value)) for value in values])
    pairs = [(i, j) for i, j, _ in near_texts(unique, nearness.text)] if nearness.near and unique else []
    return _groups("text", places, number, list(range(len(unique))), pairs)


def _number(values: list[str]) -> tuple[list[str], list[int]]:
    """Different values in the order of their first, and the number of each."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(value, len(numbers)) for value in values]
    return list(numbers), found


def _groups(
    kind: str, places: list[Place], number: list[int], stand_in: list[int], pairs: list[tuple[int, int]]
) -> list[Group]:
    """Groups of places: values with the same number are equal; near ones share a stand-in or are joined by a pair."""
    members: dict[int, list[int]] = {}
    for at, one in enumerate(number):
        members.setdefault(stand_in[one], []).append(at)
    joined = join(pairs)
    taken = {one for group in joined for one in group}
    nodes = joined + [[one] for one in members if one not in taken]
    groups = []
    for group in nodes:
        inside = [at for one in group for at in members[one]]
        if len(inside) > 1:
            equal = len({number[at] for at in inside}) == 1
            groups.append(Group(kind, equal, [places[at] for at in inside]))
    return groups
