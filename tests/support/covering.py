"""Covering arrays: few cases in which every pair of values that must meet does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["covering_cases"]

Choice = Mapping[str, Any]
"""Factor -> value."""

STARTS = 2
"""Random cases from which each new one is improved."""


def covering_cases(
    factors: Mapping[str, Sequence[Any]],
    pairs_of: Callable[[Choice], set[Any]],
    wanted: Iterable[Any],
    is_legal: Callable[[Choice], bool],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Greedily, the same ones every time: each new case meets as many uncovered pairs as a local search finds.

    As in AETG (Cohen et al. 1997), one case at a time; the first uncovered pair is always in it, so it ends.

    Args:
        factors: the values of each factor.
        pairs_of: the pairs that a legal choice covers, those of factors that need not meet left out.
        wanted: the pairs that must be covered; each must be in some legal choice.
        is_legal: the rule that tells impossible choices.
        seed: of the search.
    """
    rng = random.Random(seed)
    uncovered = dict.fromkeys(wanted)  # a set that keeps its order
    cases: list[dict[str, Any]] = []
    while uncovered:
        first = next(iter(uncovered))
        found = [_improved(_start(factors, pairs_of, first, is_legal, rng), factors, pairs_of, uncovered, first,
                           is_legal, rng) for _ in range(STARTS)]  # fmt: skip
        best = max(found, key=lambda case: len(pairs_of(case) & uncovered.keys()))
        cases.append(best)
        for pair in pairs_of(best):
            uncovered.pop(pair, None)
    return cases


def _start(factors: Any, pairs_of: Any, first: Any, is_legal: Any, rng: random.Random) -> dict[str, Any]:
    """A random legal choice that covers ``first``. Raises ValueError when there seems to be none."""
    for _ in range(100_000):
        case = {factor: rng.choice(values) for factor, values in factors.items()}
        if is_legal(case) and first in pairs_of(case):
            return case
    raise ValueError(f"no legal case has {first}")


def _improved(
    case: dict[str, Any], factors: Any, pairs_of: Any, uncovered: Any, first: Any, is_legal: Any, rng: random.Random
) -> dict[str, Any]:
    """``case`` with each factor in turn at its best value, as long as ``first`` stays covered."""
    for factor in rng.sample(list(factors), len(factors)):
        options = [{**case, factor: value} for value in rng.sample(list(factors[factor]), len(factors[factor]))]
        pairs = [(option, pairs_of(option)) for option in options if is_legal(option)]
        case = max((entry for entry in pairs if first in entry[1]), key=lambda e: len(e[1] & uncovered.keys()))[0]
    return case
