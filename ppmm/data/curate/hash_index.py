"""All pairs of 64-bit hashes within a Hamming distance, by multi-index hashing."""

from __future__ import annotations

from itertools import combinations

import numpy as np

__all__ = ["hamming", "near_pairs"]

CHUNKS, CHUNK_BITS = 4, 16
BLOCK = 4_000_000
"""Candidate pairs that are compared at once; bounds the memory."""
POPCOUNT = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)


def hamming(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Differing bits of pairs of hashes, uint64 [N] each -> uint8 [N]."""
    words = (one ^ two).view(np.uint16).reshape(-1, CHUNKS)
    return POPCOUNT[words].sum(axis=1, dtype=np.uint8)


def near_pairs(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Pairs (i < j) of hashes that differ in at most ``distance`` bits.

    Norouzi, Punjani, Fleet 2012: of four 16-bit pieces of two such hashes at least one differs in at most
    ``distance // 4`` bits, so each piece is looked up in a table with that many bits flipped; only hashes that meet
    there are compared. Exact: nothing is missed. Equal hashes are compared once and are not listed as pairs among
    each other: call with unique hashes.

    Args:
        hashes: uint64 [N], all different.
        distance: bits, 0 to 15.

    Returns:
        int64 [P, 2], sorted.
    """
    if len(hashes) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    pieces = np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, CHUNKS)
    masks = _masks(distance // CHUNKS)
    found = []
    for chunk in range(CHUNKS):
        piece = np.ascontiguousarray(pieces[:, chunk])
        order = np.argsort(piece, kind="stable")
        starts = np.searchsorted(piece[order], np.arange((1 << CHUNK_BITS) + 1))
        for mask in masks:
            found.extend(_meet(hashes, piece ^ np.uint16(mask), order, starts, distance))
    pairs = np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
    return np.unique(pairs, axis=0)


def _masks(bits: int) -> list[int]:
    """All 16-bit numbers with at most so many bits set."""
    return [
        sum(1 << place for place in places)
        for number in range(bits + 1)
        for places in combinations(range(CHUNK_BITS), number)
    ]


def _meet(
    hashes: np.ndarray, wanted: np.ndarray, order: np.ndarray, starts: np.ndarray, distance: int
) -> list[np.ndarray]:
    """Near pairs among the hashes whose piece is the ``wanted`` one of another hash.

    Args:
        hashes: uint64 [N].
        wanted: uint16 [N], the piece that each hash looks for.
        order: int64 [N], hashes sorted by their piece.
        starts: int64 [65537], where each piece begins in ``order``.
        distance: bits.
    """
    begin = starts[wanted]
    counts = starts[wanted.astype(np.int64) + 1] - begin
    ends = np.cumsum(counts)
    found = []
    first = 0
    while first < len(hashes):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + BLOCK, side="right")))
        part = counts[first:last]
        one = np.repeat(np.arange(first, last), part)
        within = np.arange(len(one)) - np.repeat(np.cumsum(part) - part, part)
        two = order[np.repeat(begin[first:last], part) + within]
        once = one < two
        one, two = one[once], two[once]
        near = hamming(hashes[one], hashes[two]) <= distance
        if near.any():
            found.append(np.stack([one[near], two[near]], axis=1))
        first = last
    return found
