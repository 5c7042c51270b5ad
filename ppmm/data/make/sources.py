"""The scans and recordings that are installed anyway, parted so that no two splits share one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ppmm.data.make import fsdd

__all__ = ["HELD_OUT_SPEAKER", "SPLITS", "Scan", "Source", "pick", "split_sources"]

SPLITS = ("train", "val", "test", "test_speaker")
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
HELD_OUT_SPEAKER = "theo"

Item = TypeVar("Item")


class Scan(NamedTuple):
    """One handwritten digit: ``name`` by its row in `load_digits`, ``ink`` float [8, 8] in 0..16."""

    name: str
    digit: int
    ink: np.ndarray


class Source(NamedTuple):
    """What one split may use, by digit."""

    scans: dict[int, list[Scan]]
    recordings: dict[int, list[fsdd.Recording]]


def split_sources() -> dict[str, Source]:
    """Scans and recordings of each split, parted digit by digit (and speaker by speaker), whatever the seed.

    The scans of test_speaker are those of test; its recordings are all those of a speaker that no other split has.
    """
    sources = {split: Source(defaultdict(list), defaultdict(list)) for split in SPLITS}
    for digit, scans in _scans_by_digit().items():
        for split, some in _part(scans, [scan.ink.tobytes() for scan in scans]).items():
            sources[split].scans[digit] += some
    sources["test_speaker"].scans.update(sources["test"].scans)
    cells: dict[tuple[str, int], list[fsdd.Recording]] = defaultdict(list)
    for recording in fsdd.load_recordings():
        cells[recording.speaker, recording.digit].append(recording)
    for (speaker, digit), spoken in sorted(cells.items()):
        if speaker == HELD_OUT_SPEAKER:
            sources["test_speaker"].recordings[digit] += spoken
            continue
        for split, few in _part(spoken, [recording.name.encode() for recording in spoken]).items():
            sources[split].recordings[digit] += few
    return sources


def pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """One of ``items``, all alike likely."""
    return items[int(rng.integers(len(items)))]


def _scans_by_digit() -> dict[int, list[Scan]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    found: dict[int, list[Scan]] = defaultdict(list)
    for row, (ink, digit) in enumerate(zip(data.images, data.target, strict=True)):
        found[int(digit)].append(Scan(f"scan_{row:04d}", int(digit), ink))
    return found


def _part(members: Sequence[Item], keys: Sequence[bytes]) -> dict[str, list[Item]]:
    """Part ``members`` by `SHARES` in the order of their keys' hashes: stable, whatever the seed."""
    order = sorted(range(len(members)), key=lambda index: hashlib.sha256(keys[index]).digest())
    first = round(len(members) * SHARES["train"])
    second = round(len(members) * (SHARES["train"] + SHARES["val"]))
    parts = {"train": order[:first], "val": order[first:second], "test": order[second:]}
    return {split: [members[index] for index in sorted(chosen)] for split, chosen in parts.items()}
