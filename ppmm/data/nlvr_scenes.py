"""New scenes in the manner of NLVR: three boxes of towers or of scattered items, drawn at random."""

from __future__ import annotations

import numpy as np

from ppmm.data.nlvr_statements import BLOCK, SHAPES, SIDE, WORDS, Box, Item, Scene

__all__ = ["draw_scene", "vary_scene"]

BOXES = 3
TALLEST = 4
"""Blocks of a tower: one to so many, equally often, each of any colour."""
MOST = 7
"""Scattered items of a box: one to so many, equally often."""
SIZES = (10, 20, 30)
LEANING = 0.18
"""Share of scattered items that stand on the ground, and of those that touch the right side; the rest lie anywhere."""
TRIES = 100
COLOURS = tuple(WORDS.values())


def draw_scene(rng: np.random.Generator, towers: bool) -> Scene:
    """Three boxes of one kind.

    Shares are those that NLVR's dev and test-P parts show in their directories 0 to 3 (1,233 pictures): heights of
    towers and numbers of items are near uniform, colours, shapes and sizes uniform and independent.
    """
    return [_draw_box(rng, towers) for _ in range(BOXES)]


def vary_scene(rng: np.random.Generator, scene: Scene, towers: bool) -> Scene:
    """The scene with one change: another colour for an item, an item less or more, a new box, two items exchanged."""
    boxes = [list(box) for box in scene]
    number = int(rng.integers(len(boxes)))
    box = boxes[number]
    place = int(rng.integers(len(box)))
    form = int(rng.integers(4))
    if form == 0:
        boxes[number] = _draw_box(rng, towers)
    elif form == 1:
        box[place] = box[place]._replace(colour=_colour(rng))
    elif form == 2 and len(box) > 1:
        del box[-1 if towers else place]
    elif form == 2:
        other = boxes[int(rng.integers(len(boxes)))]
        other[0], box[0] = other[0]._replace(colour=box[0].colour), box[0]._replace(colour=other[0].colour)
    elif towers and len(box) < TALLEST:
        box.append(_block(rng, len(box)))
    elif not towers and len(box) < MOST:
        box += _scattered(rng, box, 1)
    boxes[number].sort(key=lambda item: -item.y)
    return boxes


def _draw_box(rng: np.random.Generator, towers: bool) -> Box:
    if towers:
        return [_block(rng, level) for level in range(int(rng.integers(1, TALLEST + 1)))]
    return sorted(_scattered(rng, [], int(rng.integers(1, MOST + 1))), key=lambda item: -item.y)


def _block(rng: np.random.Generator, level: int) -> Item:
    """A block of a tower; level 0 stands on the ground, a unit is left between blocks."""
    return Item(_colour(rng), "square", 40.0, float(SIDE - BLOCK - level * (BLOCK + 1)), float(BLOCK))


def _scattered(rng: np.random.Generator, around: Box, count: int) -> Box:
    """Up to ``count`` items that leave at least a unit between each other and those ``around``."""
    items: Box = []
    for draw in rng.random((TRIES, 7)).tolist():
        if len(items) == count:
            break
        size, shape, colour = SIZES[int(draw[0] * 3)], SHAPES[int(draw[1] * 3)], COLOURS[int(draw[2] * 3)]
        room = SIDE - size
        x, y = (room if leans < LEANING else int(share * (room + 1)) for leans, share in (draw[3:5], draw[5:]))
        new = Item(colour, shape, float(x), float(y), float(size))
        if all(_apart(new, old) for old in [*around, *items]):
            items.append(new)
    return items


def _apart(one: Item, other: Item) -> bool:
    """Whether a unit is left between the squares around two items."""
    across = max(one.x - other.x - other.size, other.x - one.x - one.size)
    along = max(one.y - other.y - other.size, other.y - one.y - one.size)
    return max(across, along) >= 1


def _colour(rng: np.random.Generator) -> str:
    return COLOURS[int(rng.integers(len(COLOURS)))]
