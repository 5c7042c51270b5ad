"""Variations of an NLVR statement and its scene that leave its truth as it is: other colours, shapes, digits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

import numpy as np

from ppmm.data.nlvr_statements import SHAPES, WORDS, Scene, is_tower_scene

__all__ = ["vary_statement"]

COLOURS = tuple(WORDS.values())
DIGITS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"}
OTHER_USES = ("grey", "gray", "block", "round")
"""Beside these words the name of a shape may mean a box or a block: shapes stay as they are."""
KNOWN = ("block", "blocks", "below")
"""Like the name of a colour, and none."""
LIKE = 0.75
"""From this likeness on a word counts as a misspelt name."""


def vary_statement(rng: np.random.Generator, text: str, scene: Scene) -> tuple[str, Scene]:
    """The statement and the scene with their colours exchanged alike, shapes too where items are scattered, boxes in
    another order, and numbers as words or digits.

    What a statement says of colours and shapes does not depend on which they are. One with a misspelt name, which
    cannot be exchanged safely, keeps all names of that kind.
    """
    colours = _exchange(rng, text, COLOURS)
    shapes: dict[str, str] = {}
    if not is_tower_scene(scene) and not any(word in text.lower() for word in OTHER_USES):
        shapes = _exchange(rng, text, SHAPES)
    boxes = [scene[place] for place in rng.permutation(len(scene)).tolist()]
    varied = [
        [
            item._replace(colour=colours.get(item.colour, item.colour), shape=shapes.get(item.shape, item.shape))
            for item in box
        ]
        for box in boxes
    ]
    words = {**colours, **shapes}
    if rng.random() < 0.5:
        pairs = DIGITS if rng.random() < 0.5 else {digit: word for word, digit in DIGITS.items()}
        words.update(pairs)
    return _replaced(text, words), varied


def _exchange(rng: np.random.Generator, text: str, names: tuple[str, ...]) -> dict[str, str]:
    """A random permutation of ``names``; none where the text has a name misspelt."""
    if any(_misspelt(word, names) for word in re.findall(r"[a-z]+", text.lower())):
        return {}
    return dict(zip(names, [str(name) for name in rng.permutation(list(names))], strict=True))


@cache
def _misspelt(word: str, names: tuple[str, ...]) -> bool:
    """Whether a word is like one of ``names`` and none of them."""
    known = word.removesuffix("s") in names or word in KNOWN
    return not known and bool(get_close_matches(word, names, 1, LIKE))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """Whole words, in the plural too, all at once."""
    if not words:
        return text
    pattern = rf"\b({'|'.join(map(re.escape, words))})(s?)\b"
    return re.sub(pattern, lambda found: words[found[1].lower()] + found[2], text, flags=re.IGNORECASE)
