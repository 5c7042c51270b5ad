"""More of what NLVR's writers say: sentences on whole scenes, on towers told by their height, on lists of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ppmm.data.nlvr_statements import (
    NUMBERS,
    SHAPES,
    SIDE,
    WORDS,
    Box,
    Item,
    Scene,
    Statement,
    at_ends,
    at_sides,
    draw_statement,
)  # fmt: skip

__all__ = ["draw_sentence"]

COLOURS = tuple(WORDS.values())
SIMPLE = 0.4
"""Share of the sentences that `draw_statement` makes."""
Fits = Callable[[Item], bool]
Holds = Callable[[Scene], bool]
Quantity = tuple[str, bool, Callable[[int], bool]]
"""Words, whether a plural follows, and whether a count is such."""


def draw_sentence(rng: np.random.Generator, towers: bool) -> Statement:
    """One statement as `draw_statement`, of more kinds.

    The kinds are those of the sentences in directories 0 to 3 of NLVR's dev and test-P parts (290 different ones).
    """
    if rng.random() < SIMPLE:
        return draw_statement(rng, towers)
    kinds = [_ends, _above, _tall, _stack, _alike, _list] if towers else [_places, _places, _list, _each, _boxes]
    return kinds[int(rng.integers(len(kinds)))](rng)


def _ends(rng: np.random.Generator) -> Statement:
    """``there is exactly one black block as the top of a tower with at least two blocks``."""
    colour, end = _pick(rng, *COLOURS), _pick(rng, "top", "base")
    words, many, enough = _quantity(rng, 3)
    height, tall = _height(rng)
    there = f"there {'are' if many else 'is'} {words}"
    form = int(rng.integers(3))
    if form == 0:
        text = f"{there} {colour} block{'s' * many} as the {end} of a tower{height and ' with ' + height}"
    elif form == 1:
        have = _pick(rng, "with", "having", *(["that have", "which have"] if many else ["which has", "that has"]))
        block = f"{_pick(rng, 'a', '1')} {colour} block at the {_pick(rng, end, end.replace('base', 'bottom'))}"
        text = f"{there} tower{'s' * many} {height and 'with ' + height + ' '}{have} {block}"
    else:
        ordinal, level = _pick(rng, ("second", 1), ("third", 2))
        rest = _pick(rng, f"where the {ordinal} block is {colour}", f"with a {colour} {ordinal} block")
        text = f"{there} tower{'s' * many} {rest}"
        return Statement(text, lambda scene: enough(sum(len(b) > level and b[level].colour == colour for b in scene)))
    place = -1 if end == "top" else 0
    return Statement(text, lambda scene: enough(sum(tall(b) and b[place].colour == colour for b in scene)))


def _above(rng: np.random.Generator) -> Statement:
    """``there is a yellow block above a blue block``, ``two of the towers have a blue block under a yellow block``."""
    first, second = _pick(rng, *COLOURS), _pick(rng, *COLOURS)
    word, over = _pick(rng, ("above", 1), ("over", 1), ("on", 1), ("on top of", 1), ("below", 0), ("under", 0))
    words, many, enough = _quantity(rng, 2)
    upper, lower = (first, second) if over else (second, first)
    found = lambda box: any(low.colour == lower and up.colour == upper for low, up in pairwise(box))  # noqa: E731
    last = lambda box: len(box) > 1 and box[-2].colour == lower and box[-1].colour == upper  # noqa: E731
    pair = f"a {first} block {word} a {second} block"
    if not over and rng.random() < 0.4:
        return Statement(f"there is a tower with {pair} at the top", lambda scene: any(last(box) for box in scene))
    if rng.random() < 0.4:
        return Statement(f"there is {pair}", lambda scene: any(found(box) for box in scene))
    have = _pick(rng, "with", "having", "which have" if many else "which has")
    text = f"there {'are' if many else 'is'} {words} tower{'s' * many} {have} {pair}"
    return Statement(text, lambda scene: enough(sum(found(box) for box in scene)))


def _tall(rng: np.random.Generator) -> Statement:
    """``the tower with four blocks has a black block at the top``, ``the base of a three blocks tower is yellow``."""
    number, colour, end = int(rng.integers(1, 5)), _pick(rng, *COLOURS), _pick(rng, "top", "base")
    words, other = _number(rng, number), _pick(rng, *COLOURS)
    s, are = ("s", "are") if number > 1 else ("", "is")
    exactly = _pick(rng, "", "exactly ", "only ")
    place = -1 if end == "top" else 0
    at: Callable[[Box], bool] = lambda box: box[place].colour == colour  # noqa: E731
    some: Callable[[Box], bool] = lambda box: any(item.colour == colour for item in box)  # noqa: E731
    forms: list[tuple[str, Callable[[Box], bool]]] = [
        (f"the tower with {words} block{s} has a {colour} block at the {end}", at),
        (f"there is a tower with {words} block{s} and the {end} is {colour}", at),
        (f"the {end} of {_pick(rng, 'a', 'the')} {words} block{s} tower is {colour}", at),
        (f"the tower with {words} block{s} has at least one {colour} block", some),
        (f"there is a {words} block{s} tower with a {colour} {end}", at),
        (f"there is a {words} block{s} tower which has only one {colour} block",
         lambda box: sum(item.colour == colour for item in box) == 1),
        (f"there is a {words} block{s} tower that has only one color", lambda box: len(_colours(box)) == 1),
        (f"there is a tower with {exactly}{words} block{s} which {are} {colour}",
         lambda box: _colours(box) == {colour}),
        (f"there is a {words} block{s} tower with a {colour} base and a {other} top",
         lambda box: box[0].colour == colour and box[-1].colour == other),
    ]  # fmt: skip
    text, fits = forms[int(rng.integers(len(forms)))]
    return Statement(text, lambda scene: any(len(box) == number and fits(box) for box in scene))


def _stack(rng: np.random.Generator) -> Statement:
    """``there is a black tower``, ``there is 1 tower with 2 yellow blocks stacked together``."""
    colour, number = _pick(rng, *COLOURS), int(rng.integers(2, 5))
    words, many, enough = _quantity(rng, 3)
    there = f"there {'are' if many else 'is'} {words}"
    height, tall = _height(rng)
    count = _number(rng, number)

    def row(box: Box) -> bool:
        return any(all(i.colour == colour for i in box[k : k + number]) for k in range(len(box) - number + 1))

    forms: list[tuple[str, Callable[[Box], bool]]] = [
        (f"{there} {colour} tower{'s' * many}{height and ' with ' + height}",
         lambda box: tall(box) and _colours(box) == {colour}),
        (f"{there} tower{'s' * many} with {count} {colour} blocks stacked together", row),
        (f"{there} tower{'s' * many} with {count} blocks of the same {_pick(rng, 'color', 'colour')}",
         lambda box: len(box) == number and len(_colours(box)) == 1),
        (f"{there} tower{'s' * many} with {height or 'blocks'} having blocks of all three colors",
         lambda box: tall(box) and len(_colours(box)) == 3),
        (f"{there} tower{'s' * many} with {_pick(rng, 'only', 'exactly')} {count} {colour} blocks",
         lambda box: sum(item.colour == colour for item in box) == number),
    ]  # fmt: skip
    text, fits = forms[int(rng.integers(len(forms)))]
    return Statement(text, lambda scene: enough(sum(fits(box) for box in scene)))


def _alike(rng: np.random.Generator) -> Statement:
    """``there are two towers with the same height``, ``all three towers have at least one blue block``."""
    colour, number = _pick(rng, *COLOURS), int(rng.integers(1, 3))
    all_of = _pick(rng, "all towers have", "all 3 towers have", "each tower has", "all three towers have")
    count = _number(rng, number)
    end, place = _pick(rng, ("base", 0), ("top", -1))
    few, same = _pick(rng, "", "at least "), _pick(rng, "with the same height", "that are the same in height")
    blocks = f"{count} {colour} block{'s' * (number > 1)}"
    least = lambda box: sum(item.colour == colour for item in box) >= number  # noqa: E731
    forms: list[tuple[str, Holds]] = [
        (f"{all_of} at least {blocks}", lambda scene: all(least(box) for box in scene)),
        (f"{all_of} a {colour} block at the {end}", lambda scene: all(box[place].colour == colour for box in scene)),
        (f"there are {few}two towers {same}", lambda scene: len({len(box) for box in scene}) < len(scene)),
        (f"there are {_pick(rng, '', 'only ')}two towers with the same {end} color",
         lambda scene: len({box[place].colour for box in scene}) == 2),
        (f"there are exactly {blocks}", lambda scene: sum(i.colour == colour for b in scene for i in b) == number),
        (f"there are {_number(rng, 3)} towers with different heights", lambda scene: len({len(b) for b in scene}) == 3),
    ]  # fmt: skip
    text, holds = forms[int(rng.integers(len(forms)))]
    return Statement(text, holds)


def _list(rng: np.random.Generator) -> Statement:
    """``there is a box with a yellow circle, a blue square and two black items``; in the words of boxes for towers."""
    form = int(rng.integers(5))
    total, colour, part = int(rng.integers(1, 8)), _pick(rng, *COLOURS), int(rng.integers(1, 3))
    if form < 2:
        pieces = [_piece(rng, shaped=form == 0) for _ in range(int(rng.integers(2, 4)))]
        names = [words for words, _ in pieces]
        text = f"there is a box with {', '.join(names[:-1])} and {names[-1]}"
        return Statement(text, lambda scene: any(all(fits(box) for _, fits in pieces) for box in scene))
    total = min(total, 4) if form == 4 or rng.random() < 0.5 else total
    start = f"there is a box with {_number(rng, total)} item{'s' * (total > 1)}"
    number = int(rng.integers(1, 4))
    forms: list[tuple[str, Callable[[Box], bool]]] = [
        (f" of {_pick(rng, '', 'all ')}{_number(rng, number)} {_pick(rng, '', 'different ')}color{'s' * (number > 1)}",
         lambda box: len(_colours(box)) == number),
        (f" of which {_number(rng, part)} {'is' if part == 1 else 'are'} {colour}",
         lambda box: sum(item.colour == colour for item in box) == part),
        (f" and {_pick(rng, 'a ' + colour + ' item', 'the ' + colour + ' one is', colour + ' one')} on top",
         lambda box: min(box, key=lambda item: item.y).colour == colour),
    ]  # fmt: skip
    rest, fits = forms[form - 2]
    return Statement(start + rest, lambda scene: any(len(box) == total and fits(box) for box in scene))


def _piece(rng: np.random.Generator, shaped: bool) -> tuple[str, Callable[[Box], bool]]:
    """``two black items``, and whether a box has so many at least."""
    name, fits = _things(rng, shaped, places=False)
    number = int(rng.choice([1, 1, 1, 2, 3]))
    words = "a" if number == 1 else _number(rng, number)
    return f"{words} {name}{'s' * (number > 1)}", lambda box: sum(fits(item) for item in box) >= number


def _places(rng: np.random.Generator) -> Statement:
    """``there are exactly two black squares not touching any edge``, ``none of the circles are touching a wall``."""
    name, fits = _things(rng, bool(rng.random() < 0.8), places=False)
    rest, at = _place(rng)
    words, many, enough = _quantity(rng, 4)
    forms = [
        (f"there {'are' if many else 'is'} {words} {name}{'s' * many} {rest}", enough),
        (f"there {'are' if many else 'is'} {words} {name}{'s' * many} {rest}", enough),
        (f"none of the {name}s are {rest}", lambda count: count == 0),
        (f"there is no {name} {rest}", lambda count: count == 0),
        (f"{name}s are {rest}", lambda count: count >= 1),
        (f"{words} {name}{'s are' if many else ' is'} {rest}", enough),
    ]
    text, right = forms[int(rng.integers(len(forms)))]
    return Statement(text, lambda scene: right(sum(fits(item) and at(item) for box in scene for item in box)))


def _each(rng: np.random.Generator) -> Statement:
    """``each grey box contains at least one yellow object touching the edge``."""
    name, fits = _things(rng, bool(rng.random() < 0.4), places=True)
    number = int(rng.integers(1, 3))
    every = _pick(rng, "each grey box contains", "each box has", "all boxes contain")
    text = f"{every} at least {_number(rng, number)} {name}{'s' * (number > 1)}"
    if rng.random() < 0.8:
        rest, at = _place(rng) if rng.random() < 0.5 else ("", lambda item: True)
        done: Fits = lambda item: fits(item) and at(item)  # noqa: E731
        return Statement(f"{text} {rest}".strip(), lambda scene: all(sum(map(done, box)) >= number for box in scene))
    return Statement(f"all {name}s are in the same box", lambda scene: sum(any(map(fits, box)) for box in scene) == 1)


def _boxes(rng: np.random.Generator) -> Statement:
    """``one of the grey boxes has exactly six objects``, ``there are 2 boxes with a triangle touching a corner``."""
    words, many, enough = _quantity(rng, 2)
    there = f"there {'are' if many else 'is'} {words} {_pick(rng, '', 'grey ')}box{'es' * many}"
    name, fits = _things(rng, bool(rng.random() < 0.6), places=False)
    number, total = int(rng.integers(1, 4)), int(rng.integers(1, 8))
    rest, at = _place(rng)
    chosen = sorted(rng.permutation(len(COLOURS)).tolist()[: int(rng.integers(1, 3))])
    colours = [COLOURS[place] for place in chosen]
    grey = _pick(rng, "one of the grey box has", "one of the grey square contains", "at least one grey square contains")
    forms: list[tuple[str, Callable[[Box], bool]]] = [
        (f"{there} with {_pick(rng, 'a', '1')} {name} {rest}", lambda box: any(fits(i) and at(i) for i in box)),
        (f"{there} with exactly {_number(rng, number)} {name}{'s' * (number > 1)}",
         lambda box: sum(map(fits, box)) == number),
        (f"{there} with only {' and '.join(colours)} items", lambda box: _colours(box) == set(colours)),
        (f"{grey} exactly {_number(rng, total)} object{'s' * (total > 1)}", lambda box: len(box) == total),
    ]  # fmt: skip
    place = int(rng.integers(len(forms)))
    text, fits_box = forms[place]
    if place == 3:
        return Statement(text, lambda scene: any(fits_box(box) for box in scene))
    return Statement(text, lambda scene: enough(sum(fits_box(box) for box in scene)))


def _things(rng: np.random.Generator, shaped: bool, places: bool) -> tuple[str, Fits]:
    """``black square``, ``small circle``, ``item``; a thing without colour and shape only where ``places``."""
    colour = _pick(rng, *COLOURS, *COLOURS, "") if shaped or places else _pick(rng, *COLOURS)
    shape = _pick(rng, *SHAPES) if shaped else _pick(rng, "item", "object")
    return (
        f"{colour} {shape}".strip(),
        lambda item: colour in ("", item.colour) and (not shaped or item.shape == shape),
    )


def _place(rng: np.random.Generator) -> tuple[str, Fits]:
    """``touching the edge``, and whether an item does."""
    close = _pick(rng, "", "closely ")
    edge: Fits = lambda item: at_sides(item) or at_ends(item)  # noqa: E731
    forms: list[tuple[str, Fits]] = [
        (f"{close}touching {_pick(rng, 'the edge', 'an edge', 'the wall', 'the side', 'a wall')}", edge),
        (f"not touching {_pick(rng, 'any edge', 'the edge', 'the wall')}", lambda item: not edge(item)),
        (f"{close}touching the {_pick(rng, 'bottom of a box', 'bottom', 'base')}",
         lambda item: item.y + item.size >= SIDE - 1),
        (f"{close}touching {_pick(rng, 'the', 'a')} corner{_pick(rng, '', ' of a box')}",
         lambda item: at_sides(item) and at_ends(item)),
        (f"{close}touching right wall of a box", lambda item: item.x + item.size >= SIDE - 1),
        (f"{close}touching left wall of a box", lambda item: item.x <= 1),
    ]  # fmt: skip
    return forms[int(rng.choice([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5]))]


def _quantity(rng: np.random.Generator, most: int) -> Quantity:
    """``exactly two``. A bare number means just so many, ``a`` and ``at least`` so many or more."""
    number = int(rng.integers(1, most + 1))
    form = _pick(rng, "a", "a", "a", "exactly", "exactly", "at least", "at least", "only", "")
    if form == "a":
        return "a", False, lambda count: count >= 1
    words = f"{form} {_number(rng, number)}".strip()
    if form == "at least":
        return words, number > 1, lambda count: count >= number
    return words, number > 1, lambda count: count == number


def _height(rng: np.random.Generator) -> tuple[str, Callable[[Box], bool]]:
    """``at least two blocks``, or nothing said."""
    number = int(rng.integers(1, 5))
    form = _pick(rng, "none", "none", "", "exactly ", "only ", "at least ", "more than ")
    words = f"{form}{_number(rng, number)} block{'s' * (number > 1)}"
    if form == "none":
        return "", lambda box: True
    if form == "at least ":
        return words, lambda box: len(box) >= number
    if form == "more than ":
        return words, lambda box: len(box) > number
    return words, lambda box: len(box) == number


def _colours(box: Box) -> set[str]:
    return set(Counter(item.colour for item in box))


def _number(rng: np.random.Generator, number: int) -> str:
    return _pick(rng, *NUMBERS.get(number, ("seven", "7")))


def _pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]
