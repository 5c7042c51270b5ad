"""Label names that are probably misspellings of other ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

__all__ = ["find_typos"]

MIN_LENGTH = 4
"""Shorter names differ by a letter on purpose (cat, bat)."""
RARE = 0.2
"""A name one letter away counts as a misspelling where it has at most this share of the other's rows."""


def find_typos(counts: Mapping[str, int]) -> dict[str, str]:
    """Suspect label -> the more frequent label that was probably meant.

    Two names are near when they differ only in case, spaces, hyphens, underscores or Unicode form, or by one letter
    (changed, left out, added, or swapped with its neighbour: optimal string alignment distance 1). Names that differ
    in a digit are different. Found through shared deletions (the idea of SymSpell), not by comparing all pairs.

    Args:
        counts: label -> number of rows.
    """
    order = sorted(counts, key=lambda label: (-counts[label], label))
    wrong: dict[str, str] = {}
    by_fold: dict[str, str] = {}
    for label in order:
        better = by_fold.setdefault(_fold(label), label)
        if better != label:
            wrong[label] = better
    by_deletion: dict[str, list[str]] = {}
    for name, label in by_fold.items():
        for variant in (name, *_deletions(name)):
            by_deletion.setdefault(variant, []).append(label)
    for label in (label for label in order if label not in wrong):
        name = _fold(label)
        near = {other for variant in (name, *_deletions(name)) for other in by_deletion[variant]} - {label}
        meant = [other for other in near if _means(label, other, counts)]
        if meant:
            wrong[label] = min(meant, key=lambda other: (-counts[other], other))
    return wrong


def _means(label: str, other: str, counts: Mapping[str, int]) -> bool:
    if counts[label] > RARE * counts[other]:
        return False
    one, two = _fold(label), _fold(other)
    digits = [[letter for letter in name if letter.isdigit()] for name in (one, two)]
    return min(len(one), len(two)) >= MIN_LENGTH and digits[0] == digits[1] and _one_edit(one, two)


def _fold(label: str) -> str:
    """The name without case, spaces and joints; one without letters (-1, 2019-10) keeps all but spaces around it."""
    if not any(letter.isalpha() for letter in label):
        return label.strip()
    folded = unicodedata.normalize("NFKC", label).casefold()
    return "".join(letter for letter in folded if not letter.isspace() and letter not in "-_")


def _deletions(name: str) -> Iterator[str]:
    if len(name) >= MIN_LENGTH:
        yield from (name[:place] + name[place + 1 :] for place in range(len(name)))


def _one_edit(one: str, two: str) -> bool:
    """Whether the optimal string alignment distance is 1."""
    if len(one) > len(two):
        one, two = two, one
    start = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(one))
    if len(one) < len(two):
        return len(two) - len(one) == 1 and one[start:] == two[start + 1 :]
    if one[start + 1 :] == two[start + 1 :]:
        return one != two
    return one[start : start + 2] == two[start : start + 2][::-1] and one[start + 2 :] == two[start + 2 :]
