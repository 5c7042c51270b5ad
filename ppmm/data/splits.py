"""Splits of published data sets; one that is missing is drawn by a hash of names, so that it never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from ppmm.errors import ConfigError

__all__ = ["check_choice", "check_share", "part_of"]


def part_of(group: str, shares: Mapping[str, float], rest: str = "train") -> str:
    """The split of a group of rows that must stay together.

    Args:
        group: its name (a speaker, an image); the answer depends on nothing else.
        shares: split -> share of the groups, 0..1.
        rest: the split of all others.
    """
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    for part, share in shares.items():
        place -= share
        if place < 0.0:
            return part
    return rest


def check_share(name: str, share: float) -> None:
    """Raises ConfigError for a share that leaves nothing to train on."""
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"{name}: {share} must be at least 0 and below 1")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises ConfigError when ``value`` is not one of ``choices``."""
    known = list(choices)
    if value not in known:
        raise ConfigError(f"{name}: '{value}' must be one of {', '.join(known)}")
