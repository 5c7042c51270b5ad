"""Attributes of NLVR's pictures against a count by hand."""

from __future__ import annotations

from ppmm.data.nlvr_attributes import ATTRIBUTES, attributes_of
from ppmm.data.nlvr_statements import Item


def test_attributes_of_two_towers_and_an_item_in_a_corner():
    tower = [
        Item("black", "square", 40, 80, 20),
        Item("blue", "square", 40, 59, 20),
        Item("blue", "square", 40, 38, 20),
    ]
    scene = [tower, tower[:1], [Item("yellow", "circle", 0, 90, 10)]]
    found = {name for name, has in zip(ATTRIBUTES, attributes_of(scene), strict=True) if has}
    assert found == {
        "1 black square", "2 black square", "1 blue square", "2 blue square", "1 yellow circle",
        "1 black items", "2 black items", "1 blue items", "2 blue items", "1 yellow items",
        "1 boxes of 1 items", "2 boxes of 1 items", "1 boxes of 3 items",
        "1 boxes with black at the base", "2 boxes with black at the base", "1 boxes with yellow at the base",
        "1 boxes with blue at the top", "1 boxes with black at the top", "1 boxes with yellow at the top",
        "blue directly above black", "blue directly above blue",
        "black at a wall", "yellow at a wall", "yellow at a corner",
        "a box without blue", "a box without black", "a box without yellow",
        "a box of black only", "a box of yellow only",
        "1 black in a box", "1 blue in a box", "2 blue in a box", "1 yellow in a box",
    }  # fmt: skip
    assert attributes_of(scene[::-1]) == attributes_of(scene)
