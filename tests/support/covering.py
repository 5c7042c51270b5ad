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
    values_of: Callable[[Any], Mapping[str, Any]],
    is_legal: Callable[[Choice], bool],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Greedily, the same ones every time: each new case meets as many uncovered pairs as a local search finds.

    As in AETG (Cohen et al. 1997), one case at a time; the first uncovered pair is always in it, so it ends.

    Args:
        factors: the values of each factor, cheap ones first: of those that are equally useful the first is taken.
        pairs_of: the pairs that a legal choice covers, those of factors that need not meet left out.
        wanted: the pairs that must be covered; each must be in some legal choice.
        values_of: the values that a pair asks for, as far as they are those of factors.
        is_legal: the rule that tells impossible choices.
        seed: of the search.
    """
    rng = random.Random(seed)
    uncovered = dict.fromkeys(wanted)  # a set that keeps its order
    cases: list[dict[str, Any]] = []
    while uncovered:
        first = next(iter(uncovered))
        best: dict[str, Any] = {}
        for _ in range(STARTS):
            case = _start(factors, pairs_of, first, values_of(first), is_legal, rng)
            case = _improved(case, factors, pairs_of, uncovered, first, is_legal, rng)
            if not best or _gain(case, pairs_of, uncovered) > _gain(best, pairs_of, uncovered):
                best = case
        cases.append(best)
        for pair in pairs_of(best):
            uncovered.pop(pair, None)
    return cases


def _gain(case: Choice, pairs_of: Any, uncovered: Mapping[Any, None]) -> int:
    return sum(pair in uncovered for pair in pairs_of(case))


def _start(
    factors: Any, pairs_of: Any, first: Any, values: Mapping[str, Any], is_legal: Any, rng: random.Random
) -> dict[str, Any]:
    """A random legal choice that covers ``first``. Raises ValueError when there seems to be none."""
    for _ in range(10_000):
        case = {factor: rng.choice(options) for factor, options in factors.items()} | values
        if is_legal(case) and first in pairs_of(case):
            return case
    raise ValueError(f"no legal case has {first}")


def _improved(
    case: dict[str, Any], factors: Any, pairs_of: Any, uncovered: Any, first: Any, is_legal: Any, rng: random.Random
) -> dict[str, Any]:
    """``case`` with each factor in turn at its best value, as long as ``first`` stays covered."""
    for factor in rng.sample(list(factors), len(factors)):
        options = [{**case, factor: value} for value in factors[factor]]
        options = [option for option in options if is_legal(option) and first in pairs_of(option)]
        case = max(options, key=lambda option: _gain(option, pairs_of, uncovered))
    return case
