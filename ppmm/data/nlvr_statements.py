"""Statements on NLVR's pictures from templates, with the function that tells whether a described picture fits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ppmm.errors import DataError

__all__ = [
    "SHAPES", "WORDS", "Box", "Item", "Scene", "Statement", "at_ends", "at_sides", "draw_statement", "is_tower_scene",
    "read_scene",
]  # fmt: skip

SIDE = 100
"""Height and width of a box in the units of x_loc and y_loc."""
NEAR = 2
"""An item this close to a side touches it; blocks of a tower are 1 apart."""
WORDS = {"#0099ff": "blue", "black": "black", "yellow": "yellow"}
SHAPES = ("circle", "square", "triangle")
NUMBERS = {1: ("one", "1"), 2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4"), 5: ("five", "5"), 6: ("six", "6")}
FORMS = ["some"] * 6 + ["exactly"] * 2 + ["at least", "at most", "no", "all"]
"""Of counting; what is simple to see comes often, as it does in people's statements."""
AMOUNTS = ["any", "any", "exactly", "exactly", "at least", "more than"]
BLOCK = 20
"""Size of the squares that towers are made of."""


class Item(NamedTuple):
    """One shape: colour and shape in words, left and upper edge and size in units of a box."""

    colour: str
    shape: str
    x: float
    y: float
    size: float


Box = list[Item]
"""From the bottom upwards."""
Scene = list[Box]


class Statement(NamedTuple):
    """A sentence, and whether it holds for a scene."""

    text: str
    holds: Callable[[Scene], bool]


class _Phrase(NamedTuple):
    """What is counted: its words for one and for several, and whether something is such a thing."""

    one: str
    many: str
    fits: Callable[[Any], bool]


def read_scene(boxes: Any, where: str) -> Scene:
    """``structured_rep`` of NLVR's JSON. Raises DataError with ``where``."""
    try:
        return [sorted((_item(cells) for cells in box), key=lambda item: -item.y) for box in boxes]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: structured_rep is not a list of boxes of items: {error!r}") from error


def _item(cells: Mapping[str, Any]) -> Item:
    colour = WORDS[str(cells["color"]).lower()]
    return Item(colour, str(cells["type"]), float(cells["x_loc"]), float(cells["y_loc"]), float(cells["size"]))


def is_tower_scene(scene: Scene) -> bool:
    """Whether all boxes hold nothing but one stack of blocks; other pictures have scattered items."""
    return all(item.shape == "square" and item.size == BLOCK and item.x == box[0].x for box in scene for item in box)


def draw_statement(rng: np.random.Generator, towers: bool) -> Statement:
    """One statement in the words of NLVR's writers, for pictures of towers or of scattered items.

    It counts things (items, or boxes of a kind): at least, exactly, at most so many, none, or all boxes.
    """
    if rng.random() < 0.3:
        things = _block(rng) if towers else _scattered(rng)
        return _counted(rng, things, lambda scene: [item for box in scene for item in box], 3, None)
    kind = _tower(rng) if towers else _box(rng)
    return _counted(rng, kind, lambda scene: scene, 2, "three towers" if towers else "boxes")


def _counted(
    rng: np.random.Generator, things: _Phrase, among: Callable[[Scene], Sequence[Any]], most: int, every: str | None
) -> Statement:
    """``there are at least two <things>``."""
    number = int(rng.integers(1, most + 1))
    form = _pick(rng, FORMS)

    def count(scene: Scene) -> int:
        return sum(things.fits(thing) for thing in among(scene))

    if form == "some":
        return Statement(f"there is {things.one}", lambda scene: count(scene) >= 1)
    if form == "no":
        bare = things.one.removeprefix("a ")
        return Statement(f"there is no {bare}", lambda scene: count(scene) == 0)
    if form == "all" and every is not None:
        rest = things.many.partition(" ")[2]
        return Statement(f"all {every} {_have(rest)}", lambda scene: count(scene) == len(scene))
    words = _number(rng, number)
    bare, verb = (things.one.removeprefix("a "), "is") if number == 1 else (things.many, "are")
    if form == "at least":
        return Statement(f"there {verb} at least {words} {bare}", lambda scene: count(scene) >= number)
    if form == "at most":
        return Statement(f"there {verb} at most {words} {bare}", lambda scene: count(scene) <= number)
    exact = _pick(rng, ["exactly ", "only ", ""])
    return Statement(f"there {verb} {exact}{words} {bare}", lambda scene: count(scene) == number)


def _have(rest: str) -> str:
    return f"have {rest.removeprefix('with ')}" if rest.startswith("with ") else rest


def _block(rng: np.random.Generator) -> _Phrase:
    colour = _pick(rng, list(WORDS.values()))
    return _Phrase(f"a {colour} block", f"{colour} blocks", lambda item: item.colour == colour)


def _scattered(rng: np.random.Generator) -> _Phrase:
    """``a blue circle touching the wall``: colour, shape and place may each be left open."""
    colour = _pick(rng, [*WORDS.values(), ""])
    shape = _pick(rng, [*SHAPES, "item", "object"])
    words, at = _pick(
        rng,
        [
            ("", lambda item: True),
            ("", lambda item: True),
            (_pick(rng, [" touching the wall", " touching the edge", " closely touching a wall of a box"]), _touches),
            (_pick(rng, [" not touching any edge", " not touching the wall"]), lambda item: not _touches(item)),
            (
                _pick(rng, [" touching the base", " touching the bottom"]),
                lambda item: item.y + item.size >= SIDE - NEAR,
            ),
            (" touching the corner", lambda item: at_sides(item) and at_ends(item)),
        ],
    )
    name = f"{colour} {shape}".strip()
    return _Phrase(
        f"a {name}{words}",
        f"{name}s{words}",
        lambda item: colour in ("", item.colour) and (shape in ("item", "object") or item.shape == shape) and at(item),
    )


def _touches(item: Item) -> bool:
    return at_sides(item) or at_ends(item)


def at_sides(item: Item) -> bool:
    """Whether it touches the left or right side of its box."""
    return item.x <= NEAR or item.x + item.size >= SIDE - NEAR


def at_ends(item: Item) -> bool:
    """Whether it touches the ground or the ceiling."""
    return item.y <= NEAR or item.y + item.size >= SIDE - NEAR


def _box(rng: np.random.Generator) -> _Phrase:
    """``a box with exactly two blue circles``, ``... items of only black and blue color``, ``... all 3 colors``."""
    form = int(rng.integers(0, 6))
    if form == 0:
        return _of_colours(rng, "box", "boxes", "items of only {} color")
    if form == 1:
        rest = f"with items of all {_number(rng, 3)} colors"
        return _Phrase(f"a box {rest}", f"boxes {rest}", lambda box: len({item.colour for item in box}) == 3)
    if form == 2:
        words, fits = _amount(rng, _Phrase("an item", _pick(rng, ["items", "objects"]), lambda item: True), 7)
    else:
        words, fits = _amount(rng, _scattered(rng), 3)
    return _Phrase(f"a box with {words}", f"boxes with {words}", fits)


def _tower(rng: np.random.Generator) -> _Phrase:
    """``a tower with a blue block over a black block``, ``... three blocks``, ``... a yellow block at the base``."""
    form = int(rng.integers(0, 6))
    first, second = (_pick(rng, list(WORDS.values())) for _ in range(2))
    end = _pick(rng, ["top", "base"])
    place = -1 if end == "top" else 0
    words: str
    fits: Callable[[Box], bool]
    if form == 0:
        return _of_colours(rng, "tower", "towers", "only {} blocks")
    if form == 1:
        words, fits = f"a {first} block at the {end}", lambda box: bool(box) and box[place].colour == first
    elif form == 2:
        on = _pick(rng, ["over", "above", "on"])
        words = f"a {first} block {on} a {second} block"
        fits = lambda box: any(low.colour == second and up.colour == first for low, up in pairwise(box))  # noqa: E731
    elif form == 3:
        words, fits = _amount(rng, _Phrase("a block", "blocks", lambda item: True), 4)
    elif form == 4:
        words, fits = _amount(rng, _block(rng), 3)
    else:
        height, tall = _amount(rng, _Phrase("a block", "blocks", lambda item: True), 4)
        one = f"a {first} block as the {end} of a tower with {height}"
        many = f"{first} blocks as the {end} of towers with {height}"
        return _Phrase(one, many, lambda box: bool(box) and box[place].colour == first and tall(box))
    return _Phrase(f"a tower with {words}", f"towers with {words}", fits)


def _of_colours(rng: np.random.Generator, one: str, many: str, form: str) -> _Phrase:
    chosen = [str(colour) for colour in rng.permutation(list(WORDS.values()))[: int(rng.integers(1, 3))]]
    words = f"with {form.format(' and '.join(chosen))}"
    return _Phrase(f"a {one} {words}", f"{many} {words}", lambda box: {item.colour for item in box} == set(chosen))


def _amount(rng: np.random.Generator, things: _Phrase, most: int) -> tuple[str, Callable[[Box], bool]]:
    """``at least two blue items``, and whether a box has so many."""
    number = int(rng.integers(1, most + 1))
    form = _pick(rng, AMOUNTS)
    words = _number(rng, number) if number in NUMBERS else str(number)
    bare = things.one.partition(" ")[2] if number == 1 else things.many

    def count(box: Box) -> int:
        return sum(things.fits(item) for item in box)

    if form == "any":
        return things.one, lambda box: count(box) >= 1
    if form == "at least":
        return f"at least {words} {bare}", lambda box: count(box) >= number
    if form == "more than":
        return f"more than {words} {bare}", lambda box: count(box) > number
    return f"{_pick(rng, ['exactly ', 'only ', ''])}{words} {bare}", lambda box: count(box) == number


def _number(rng: np.random.Generator, number: int) -> str:
    return _pick(rng, list(NUMBERS[number]))


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]
