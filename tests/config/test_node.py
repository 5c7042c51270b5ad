from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ppmm.config import ConfigList, loads

Problems = Callable[[Callable[[], Any]], list[str]]


def test_every_entry_knows_where_it_was_written() -> None:
    tree = loads("name: x\nmodel:\n  dims:\n    - 1\n    - {deep: 2}\n", "f.yaml")
    assert tree.place("name") == "f.yaml:1"
    assert tree["model"].place("dims") == "f.yaml:3"
    assert isinstance(tree["model"]["dims"], ConfigList)
    assert [tree["model"]["dims"].place(index) for index in (0, 1)] == ["f.yaml:4", "f.yaml:5"]
    assert tree["model"]["dims"][1].path == "model.dims.1"
    assert tree.path == ""


def test_an_absent_key_is_placed_where_its_mapping_is() -> None:
    tree = loads("a: 1\nmodel:\n  fusion:\n    dim: 3\n", "f.yaml")
    assert tree["model"]["fusion"].place("absent") == "f.yaml:3"
    assert tree.place("absent") == "f.yaml:1"


def test_a_tree_can_be_deep_copied() -> None:
    tree = loads("a: {b: [1, {c: 2}]}", "f.yaml")
    twin = copy.deepcopy(tree)
    assert twin == tree
    assert twin["a"].place("b") == "f.yaml:1"
    twin["a"]["b"][1]["c"] = 3
    assert tree["a"]["b"][1]["c"] == 2
