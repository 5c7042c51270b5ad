"""Pictures of scenes against pixels placed by hand, and against the corpus's own where they are at hand."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppmm.data.nlvr_pictures import draw_picture
from ppmm.data.nlvr_statements import Item, read_scene

REAL = Path(__file__).parents[2] / "data" / "nlvr" / "dev"


def test_squares_are_where_their_description_says():
    picture = draw_picture([[Item("blue", "square", 80, 70, 20)], [], [Item("black", "square", 0, 0, 10)]])
    assert picture.shape == (100, 400, 3) and picture.dtype == np.uint8
    expected = np.full((100, 400, 3), 211, np.uint8)
    expected[:, 100:150] = expected[:, 250:300] = 128
    expected[70:90, 80:100] = (0, 153, 255)
    expected[:10, 300:310] = 0
    assert np.array_equal(picture, expected)


def test_slopes_and_rounds_cover_shares_of_pixels():
    box = draw_picture([[Item("yellow", "triangle", 30, 40, 10), Item("yellow", "circle", 60, 40, 20)]])
    # the slope of a triangle crosses the two pixels beside its middle: a quarter of the upper, three of the lower
    assert box[40, 33:37].tolist() == [[211, 211, 211], [222, 222, 158], [222, 222, 158], [211, 211, 211]]
    assert box[41, 33:37, 2].tolist() == [211, 53, 53, 211]
    assert box[49, 30:40, 2].tolist() == [53, 0, 0, 0, 0, 0, 0, 0, 0, 53]
    blue = 211.0 - box[40:60, 60:80, 2]
    assert blue.sum() / 211.0 == pytest.approx(np.pi * 10**2, rel=0.002)
    assert np.array_equal(blue, blue.T) and np.array_equal(blue, blue[::-1])


@pytest.mark.skipif(not REAL.is_dir(), reason="NLVR's pictures are not at hand")
def test_the_corpus_draws_alike():
    differences = []
    for line in (REAL / "dev.json").read_text("utf-8").splitlines()[:40]:
        row = json.loads(line)
        if int(row["directory"]) > 3:  # those held out for the choice of the epoch
            continue
        scene = read_scene(row["structured_rep"], "dev")
        for number, order in enumerate(permutations(range(3))):
            name = REAL / "images" / row["directory"] / f"dev-{row['identifier']}-{number}.png"
            real = cv2.cvtColor(cv2.imread(str(name)), cv2.COLOR_BGR2RGB).astype(np.float32)
            differences.append(np.abs(draw_picture([scene[place] for place in order]) - real).mean())
    assert len(differences) > 60 and max(differences) < 0.2 and np.mean(differences) < 0.03  # of 255
