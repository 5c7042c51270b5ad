"""Where two configs differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["ABSENT", "Change", "changed_keys", "changes"]


class _Absent:
    """What a side has that lacks a key."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


class Change(NamedTuple):
    """One value that differs: its dotted path and what either side has there (`ABSENT` for nothing)."""

    key: str
    before: Any
    after: Any


def changes(before: Any, after: Any, path: str = "") -> list[Change]:
    """The values that differ, or that only one side has, sorted by path."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [] if before == after and type(before) is type(after) else [Change(path, before, after)]
    found: list[Change] = []
    for key in sorted({*before, *after}, key=str):
        inner = f"{path}.{key}" if path else str(key)
        if key in before and key in after:
            found += changes(before[key], after[key], inner)
        else:
            found.append(Change(inner, before.get(key, ABSENT), after.get(key, ABSENT)))
    return found


def changed_keys(before: Any, after: Any) -> list[str]:
    """Dotted paths of the values that differ, or that only one side has, sorted."""
    return [change.key for change in changes(before, after)]
