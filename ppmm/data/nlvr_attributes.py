"""What NLVR's pictures hold, as zeros and ones, from the corpus's own description of them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from ppmm.data.nlvr_statements import SHAPES, WORDS, Box, Scene, at_ends, at_sides

__all__ = ["ATTRIBUTES", "attributes_of"]

COLOURS = tuple(WORDS.values())
MOST = 4
"""Counts go up to this."""
ATTRIBUTES = [
    *(f"{count} {colour} {shape}" for colour in COLOURS for shape in SHAPES for count in (1, 2)),
    *(f"{count} {colour} items" for colour in COLOURS for count in range(1, MOST + 1)),
    *(f"{count} boxes of {size} items" for size in range(1, 8) for count in (1, 2)),
    *(f"{count} boxes with {colour} at the {end}" for colour in COLOURS for end in ("base", "top") for count in (1, 2)),
    *(f"{upper} directly above {lower}" for upper in COLOURS for lower in COLOURS),
    *(f"{colour} at {place}" for colour in COLOURS for place in ("a wall", "a corner")),
    *(f"a box without {colour}" for colour in COLOURS),
    *(f"a box of {colour} only" for colour in COLOURS),
    *(f"{count} {colour} in a box" for colour in COLOURS for count in (1, 2, 3)),
]
"""Names; a count is "at least so many". None depends on the order of the boxes."""


def attributes_of(scene: Scene) -> list[int]:
    """1 for each of `ATTRIBUTES` that a scene has, else 0."""
    found: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for box in scene:
        _count(box, counts)
        colours = Counter(item.colour for item in box)
        for colour in COLOURS:
            found[f"a box without {colour}"] += colour not in colours
            found[f"a box of {colour} only"] += set(colours) == {colour}
            found.update(f"{count} {colour} in a box" for count in range(1, min(colours[colour], 3) + 1))
        found.update(f"{upper.colour} directly above {lower.colour}" for lower, upper in pairwise(box))
        for item in box:
            found[f"{item.colour} at a wall"] += at_sides(item) or at_ends(item)
            found[f"{item.colour} at a corner"] += at_sides(item) and at_ends(item)
    found.update(f"{least} {name}" for name, count in counts.items() for least in range(1, count + 1))
    return [int(found[name] > 0) for name in ATTRIBUTES]


def _count(box: Box, counts: Counter[str]) -> None:
    """Add what is counted over all boxes."""
    counts[f"boxes of {len(box)} items"] += 1
    for item in box:
        counts[f"{item.colour} {item.shape}"] += 1
        counts[f"{item.colour} items"] += 1
    for end, ends in (("base", box[:1]), ("top", box[-1:])):
        for only in ends:
            counts[f"boxes with {only.colour} at the {end}"] += 1
