"""Sentences of more kinds against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ppmm.data.nlvr_sentences import draw_sentence
from ppmm.data.nlvr_statements import Item


def tower(*colours):
    """From the ground upwards."""
    return [Item(colour, "square", 40, 80 - 21 * level, 20) for level, colour in enumerate(colours)]


TOWERS = [tower("yellow", "black"), tower("blue"), tower("yellow", "blue", "blue")]
SCATTERED = [
    [Item("black", "square", 40, 40, 10), Item("yellow", "circle", 90, 30, 10)],  # right side
    [Item("blue", "triangle", 0, 90, 10)],  # lower left corner
    [Item("black", "circle", 30, 89, 10), Item("yellow", "circle", 30, 60, 10), Item("blue", "square", 50, 5, 30)],
]
EXPECTED = {
    "there is exactly one black block as the top of a tower": True,
    "there is exactly one blue block as the top of a tower": False,
    "there are exactly two yellow blocks as the base of a tower": True,
    "there is a black block above a yellow block": True,
    "there is a yellow block above a blue block": False,
    "there is a blue block below a blue block": True,
    "there is a blue tower": True,
    "there is a black tower": False,
    "there is a tower with a yellow block below a black block at the top": True,
    "there is a tower with a blue block below a black block at the top": False,
    "the top of the three blocks tower is blue": True,
    "the base of a two blocks tower is blue": False,
    "there is 1 tower with 2 blue blocks stacked together": True,
    "there is a tower with 2 yellow blocks stacked together": False,
    "each tower has at least one blue block": False,
    "there are two towers with the same height": False,
    "there are exactly two yellow blocks": True,
    "there are exactly 2 blue blocks": False,
    "there are 3 towers with different heights": True,
}
EXPECTED_SCATTERED = {
    "there is a black circle closely touching the bottom": True,
    "none of the blue squares are touching the edge": True,
    "there is a blue square touching the wall": False,
    "yellow circles are touching the edge": True,
    "black squares are touching the edge": False,
    "black squares are not touching any edge": True,
    "there is a blue triangle touching the corner": True,
    "there is a yellow circle touching right wall of a box": True,
    "there is a yellow circle touching left wall of a box": False,
    "one of the grey box has exactly three objects": True,
    "one of the grey box has exactly four objects": False,
    "there is a box with 3 items of 3 different colors": True,
    "there is a box with 2 items of 3 colors": False,
    "there is a box with 2 items and a yellow item on top": True,
    "there is a box with 3 items and a yellow item on top": False,
    "there is a box with only blue items": True,
    "there is a box with only yellow items": False,
    "each box has at least one yellow item": False,
    "there is a box with a black item and a yellow item": True,
    "there is a box with a black item and a blue item": True,
}


@pytest.mark.parametrize(("scene", "towers", "expected"), [(TOWERS, True, EXPECTED),
                                                            (SCATTERED, False, EXPECTED_SCATTERED)])  # fmt: skip
def test_sentences_hold_as_worked_out_by_hand(scene, towers, expected):
    rng = np.random.default_rng(0)
    found = {}
    for _ in range(12_000):
        statement = draw_sentence(rng, towers)
        assert "  " not in statement.text and statement.text == statement.text.strip()
        if statement.text in expected:
            found[statement.text] = statement.holds(scene)
    assert len(found) > len(expected) * 0.6
    assert found == {text: expected[text] for text in found}
