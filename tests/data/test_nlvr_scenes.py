"""Scenes drawn in the manner of NLVR: what they may hold, and that a change is one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np

from ppmm.data.nlvr_scenes import draw_scene, vary_scene
from ppmm.data.nlvr_statements import is_tower_scene


def overlap(one, other):
    """Whether the squares around two items share a pixel."""
    return (
        one.x < other.x + other.size
        and other.x < one.x + one.size
        and one.y < other.y + other.size
        and other.y < one.y + one.size
    )


def test_towers_stand_on_the_ground_and_are_of_one_to_four_blocks():
    rng = np.random.default_rng(0)
    heights: Counter[int] = Counter()
    for _ in range(300):
        scene = draw_scene(rng, True)
        assert len(scene) == 3 and is_tower_scene(scene)
        for box in scene:
            assert [item.y for item in box] == [80, 59, 38, 17][: len(box)]
            heights[len(box)] += 1
    assert set(heights) == {1, 2, 3, 4} and min(heights.values()) > 900 / 4 * 0.8


def test_scattered_items_are_inside_and_apart_also_after_changes():
    rng = np.random.default_rng(1)
    for _ in range(40):
        scene = draw_scene(rng, False)
        for _ in range(4):
            before, scene = scene, vary_scene(rng, scene, False)
            assert sum(old != new for old, new in zip(before, scene, strict=True)) <= 2
        for box in scene:
            assert 1 <= len(box) <= 7 and [item.y for item in box] == sorted((i.y for i in box), reverse=True)
            assert all(min(i.x, i.y) >= 0 and max(i.x, i.y) + i.size <= 100 for i in box)
            assert not any(overlap(one, other) for one, other in combinations(box, 2))


def test_changed_towers_are_towers():
    rng = np.random.default_rng(2)
    scene = draw_scene(rng, True)
    for _ in range(60):
        scene = vary_scene(rng, scene, True)
        assert is_tower_scene(scene)
        assert all([item.y for item in box] == [80, 59, 38, 17][: len(box)] and box for box in scene)
