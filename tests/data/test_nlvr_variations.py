"""Statements and scenes varied together: what is exchanged, and what must stay."""

from __future__ import annotations

import numpy as np

from ppmm.data.nlvr_scenes import draw_scene
from ppmm.data.nlvr_sentences import draw_sentence
from ppmm.data.nlvr_statements import Item
from ppmm.data.nlvr_variations import vary_statement

SCENE = [[Item("blue", "square", 0, 0, 10)], [Item("black", "circle", 20, 20, 10)], []]


def test_text_and_scene_change_alike():
    seen = set()
    for seed in range(200):
        text, scene = vary_statement(np.random.default_rng(seed), "There is a Blue square.", SCENE)
        square = next(item for box in scene for item in box if item.size == 10 and item.x == 0)
        assert text == f"There is a {square.colour} {square.shape}."
        seen.add((square.colour, square.shape, scene.index([square])))
    assert len(seen) == 3 * 3 * 3


def test_misspelt_names_and_words_for_boxes_stay():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        text, scene = vary_statement(rng, "a bule squere above two blocks", SCENE)
        assert text in ("a bule squere above two blocks", "a bule squere above 2 blocks")
        assert sorted(map(str, scene)) == sorted(map(str, SCENE))
        text, scene = vary_statement(rng, "a grey square has a circle", SCENE)
        assert text == "a grey square has a circle" and {i.shape for b in scene for i in b} == {"square", "circle"}


def test_the_truth_of_a_template_stays():
    """A statement of a template that comes out as another template's text holds as that does."""
    rng = np.random.default_rng(3)
    known = {}
    for _ in range(3000):
        statement = draw_sentence(rng, True)
        known[statement.text] = statement
    compared = 0
    for statement in list(known.values())[:400]:
        scene = draw_scene(rng, True)
        text, varied = vary_statement(rng, statement.text, scene)
        if text in known:
            compared += 1
            assert known[text].holds(varied) == statement.holds(scene), (statement.text, text)
    assert compared > 100
