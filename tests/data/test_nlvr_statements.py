"""Statements from templates against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ppmm.data.nlvr_statements import draw_statement, is_tower_scene, read_scene
from ppmm.errors import DataError


def block(colour, level):
    """A block of a tower as NLVR describes it; level 0 lies on the ground."""
    return {"type": "square", "color": colour, "x_loc": 40, "y_loc": 80 - 21 * level, "size": 20}


def item(shape, colour, x, y, size=10):
    return {"type": shape, "color": colour, "x_loc": x, "y_loc": y, "size": size}


TOWERS = [
    [block("Black", 1), block("Yellow", 0)],  # black on yellow, listed from above
    [block("#0099ff", 0)],
    [block("Yellow", 0), block("#0099ff", 1), block("#0099ff", 2)],
]
SCATTERED = [
    [item("circle", "Yellow", 90, 30), item("square", "Black", 40, 40)],  # touches the right side; touches nothing
    [item("triangle", "#0099ff", 0, 90)],  # in the lower left corner
    [item("circle", "Yellow", 30, 60), item("circle", "Black", 30, 89), item("square", "#0099ff", 50, 5, 30)],
]
EXPECTED = {
    "there is a tower with a black block over a yellow block": True,
    "there is a tower with a yellow block over a black block": False,
    "there is a tower with a blue block on a blue block": True,
    "there is 1 tower with a blue block at the top": False,  # exactly one: there are two
    "there are 2 towers with a blue block at the top": True,
    "there are exactly two towers with a yellow block at the base": True,
    "there is a tower with three blocks": True,
    "there is a tower with four blocks": False,
    "there is a blue block as the top of a tower with exactly three blocks": True,
    "there is a black block as the top of a tower with more than two blocks": False,
    "there are exactly 3 blue blocks": True,
    "there are at most 2 blue blocks": False,
    "there is a tower with only blue blocks": True,
    "there is a tower with only black and blue blocks": False,
    "there is no yellow block": False,
}
EXPECTED_SCATTERED = {
    "there is a yellow circle touching the wall": True,
    "there is a black square touching the wall": False,
    "there is a blue triangle touching the corner": True,
    "there is a black item touching the base": True,
    "there is a blue square touching the edge": False,
    "there are exactly two yellow circles": True,
    "there is a box with three items": True,
    "there is a box with exactly four items": False,
    "there is a box with items of only blue color": True,
    "there is a box with items of only black and yellow color": True,
    "there is a box with items of all three colors": True,
    "there is no black triangle": True,
}


CASES = [(TOWERS, True, EXPECTED), (SCATTERED, False, EXPECTED_SCATTERED)]


@pytest.mark.parametrize(("picture", "towers", "expected"), CASES)
def test_statements_hold_as_worked_out_by_hand(picture, towers, expected):
    scene = read_scene(picture, "here")
    assert is_tower_scene(scene) == towers
    rng = np.random.default_rng(0)
    found = {}
    for _ in range(8_000):
        statement = draw_statement(rng, towers)
        if statement.text in expected:
            found[statement.text] = statement.holds(scene)
    assert len(found) > len(expected) / 2
    assert found == {text: expected[text] for text in found}


def test_boxes_are_read_from_the_bottom_upwards_and_mistakes_are_named():
    assert [item.colour for item in read_scene(TOWERS, "here")[0]] == ["yellow", "black"]
    for bad in (None, [[{"type": "square"}]], [[item("circle", "pink", 1, 1)]], 3):
        with pytest.raises(DataError, match=r"x.json:3: structured_rep is not a list of boxes"):
            read_scene(bad, "x.json:3")
