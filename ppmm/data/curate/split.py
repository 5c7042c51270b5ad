"""Rows -> parts: stratified, group-aware, the same for the same seed whatever the order of the rows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from ppmm.errors import ConfigError, DataError

__all__ = ["split_rows"]


def split_rows(
    keys: Sequence[str],
    parts: Mapping[str, float],
    *,
    strata: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> dict[str, list[int]]:
    """Indices of the rows of each part, ascending.

    Whole groups are dealt, the largest first, each to the part that it brings nearest to the wanted number of rows
    of every class (squared relative shortfalls, summed over the classes of the group). Without groups every row is
    one, which gives each part its share of every class to within one row.

    Args:
        keys: what names each row; equal ones are told apart by their order.
        parts: name -> share; the shares are scaled to sum to one.
        strata: class of each row.
        groups: rows with the same value stay together (speaker, source image); None is a group of its own.
        seed: another seed deals other rows.

    Raises:
        ConfigError: a share that is not above 0.
        DataError: fewer groups than parts.
    """
    if not parts or not all(0 < share < math.inf for share in parts.values()):
        raise ConfigError(f"parts: every share must be a number above 0, got {dict(parts)}")
    members = _members(keys, groups)
    if len(members) < len(parts):
        raise DataError(f"{len(members)} groups cannot fill {len(parts)} parts; group by another column")
    classes = {value: place for place, value in enumerate(dict.fromkeys(strata or [None]))}
    codes = np.array([classes[value] for value in strata] if strata else [0] * len(keys))
    totals = np.bincount(codes, minlength=len(classes)).astype(float)
    shares = np.array(list(parts.values())) / sum(parts.values())
    room = shares[:, None] * totals[None, :]
    dealt: dict[str, list[int]] = {name: [] for name in parts}
    names = list(parts)
    for rows in _order(members, codes, totals, seed):
        present, counts = np.unique(codes[rows], return_counts=True)
        part = _best_part(room[:, present], counts, shares[:, None] * totals[None, present], room.sum(axis=1))
        room[part, present] -= counts
        dealt[names[part]].extend(rows)
    if empty := [name for name, rows in dealt.items() if not rows]:
        raise DataError(f"no group is left for {', '.join(empty)}: the groups are too large for these shares")
    return {name: sorted(rows) for name, rows in dealt.items()}


def _members(keys: Sequence[str], groups: Sequence[Hashable] | None) -> dict[str, list[int]]:
    """Name of each group -> its rows."""
    members: dict[str, list[int]] = {}
    times: dict[str, int] = {}
    for index, key in enumerate(keys):
        group = None if groups is None else groups[index]
        if group is None:
            times[key] = times.get(key, 0) + 1
            members[f"row {key} {times[key]}"] = [index]
        else:
            members.setdefault(f"group {group}", []).append(index)
    return members


def _order(members: Mapping[str, list[int]], codes: np.ndarray, totals: np.ndarray, seed: int) -> list[list[int]]:
    """Large groups first, since small ones can still even out; then rare classes; then by a hash of seed and name."""

    def rank(name: str) -> tuple[int, float, bytes]:
        rows = members[name]
        digest = hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).digest()
        return -len(rows), float(totals[codes[rows]].min()), digest

    return [members[name] for name in sorted(members, key=rank)]


def _best_part(room: np.ndarray, counts: np.ndarray, wanted: np.ndarray, left: np.ndarray) -> int:
    """The part whose relative shortfalls the group reduces most.

    Args:
        room: [parts, classes] rows that are still wanted, of the group's classes.
        counts: [classes] rows of the group.
        wanted: [parts, classes] rows that were wanted at first.
        left: [parts] rows of all classes that are still wanted.
    """
    scale = np.maximum(wanted, 1e-9)
    after = ((room - counts) ** 2 / scale).sum(axis=1) - (room**2 / scale).sum(axis=1)
    best = np.flatnonzero(after <= after.min() + 1e-9)
    return int(best[np.argmax(left[best])])
