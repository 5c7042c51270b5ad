"""NLVR's kind of pictures made on demand, and people's statements with pictures made anew."""

from __future__ import annotations

import numpy as np
import pytest

from ppmm.data.datasets.nlvr_rendered import NlvrRendered
from ppmm.data.datasets.nlvr_varied import NlvrVaried
from ppmm.data.nlvr_attributes import attributes_of
from ppmm.data.nlvr_pictures import draw_picture
from ppmm.data.nlvr_statements import read_scene
from ppmm.errors import ConfigError, DataError


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_rows_are_the_same_for_a_seed_in_any_order():
    first, second = (NlvrRendered(rows=40, statements=10, seed=4) for _ in range(2))
    assert all(equal(first[row], second[row]) for row in (39, 0, 7, 8))
    assert not equal(first[0], NlvrRendered(rows=40, statements=10, seed=5)[0])
    assert len(first) == 40 and [row["text"] for row in (first[i] for i in range(40))] == list(first.column("text"))
    with pytest.raises(IndexError):
        first[40]


def test_pairs_share_a_statement_and_differ_in_its_truth():
    rows = NlvrRendered(rows=60, statements=30, towers=0.5, seed=1)
    for number in range(30):
        statement, scenes = rows.pair(number)
        pair = [rows[2 * number], rows[2 * number + 1]]
        assert {row["label"] for row in pair} == {"true", "false"} and {row["text"] for row in pair} == {statement.text}
        for row, scene in zip(pair, scenes, strict=True):
            assert statement.holds(scene) == (row["label"] == "true")
            assert row["attributes"] == attributes_of(scene) and np.array_equal(row["image"], draw_picture(scene))


def test_settings_that_are_refused():
    for bad in ({"rows": 1}, {"statements": 0}, {"towers": 1.5}):
        with pytest.raises(ConfigError, match="must be at least 2, statements"):
            NlvrRendered(**bad)


def described(sentence, directory, label):
    block = {"type": "square", "color": "Yellow", "x_loc": 40, "y_loc": 80, "size": 20}
    cells = {"sentence": sentence, "label": label, "identifier": "1-0", "directory": directory}
    return {**cells, "structured_rep": [[block], [{**block, "color": "Black"}], [{**block, "color": "#0099ff"}]]}


def test_variations_of_peoples_statements(tree):
    lines = [described("There is a yellow tower. ", "0", "true"), described("No.", "5", "false")]
    tree.json_lines("dev/dev.json", lines)
    rows = NlvrVaried(str(tree), "dev", [0], variations=20)
    assert len(rows) == 20 and {rows[i]["label"] for i in range(20)} == {"true"}
    assert set(rows.column("text")) == {f"There is a {colour} tower." for colour in ("yellow", "black", "blue")}
    assert equal(rows[3], NlvrVaried(str(tree), "dev", [0], variations=20)[3])
    assert rows[3]["attributes"] == attributes_of(read_scene(lines[0]["structured_rep"], "here"))  # one of each colour
    assert len(NlvrVaried(str(tree), "dev")) == 2 * 36


def test_what_is_wrong_with_varied_statements_is_named(tree):
    tree.json_lines("dev/dev.json", [described("There is a yellow tower.", "0", "maybe")])
    with pytest.raises(DataError, match=r"dev\.json:1: needs a sentence and a label"):
        NlvrVaried(str(tree), "dev")
    with pytest.raises(DataError, match="no statement"):
        NlvrVaried(str(tree), "dev", [3])
    with pytest.raises(ConfigError, match="variations: 0"):
        NlvrVaried(str(tree), "dev", variations=0)
