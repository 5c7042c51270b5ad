"""Pairs -> groups of things that belong together."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["join"]


def join(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of at least two numbers, each with its head first and the others ascending.

    The first number that is in no group yet heads a new one and takes all its free neighbours. Unlike connected
    components, a chain of small steps does not tie things together that differ, and no two numbers that remain when
    every group is reduced to its head are a pair.

    Args:
        pairs: numbers that are near each other, in any order.
    """
    near: dict[int, list[int]] = {}
    for one, two in pairs:
        near.setdefault(one, []).append(two)
        near.setdefault(two, []).append(one)
    taken: set[int] = set()
    groups = []
    for head in sorted(near):
        if head in taken:
            continue
        members = sorted({one for one in near[head] if one not in taken and one != head})
        taken.update((head, *members))
        if members:
            groups.append([head, *members])
    return groups
