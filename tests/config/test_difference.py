"""Where two configs differ."""

from __future__ import annotations

from ppmm.config import changed_keys, loads


def test_equal_trees() -> None:
    text = "a: {b: [1, 2], c: {name: x}}"
    assert changed_keys(loads(text), loads(text)) == []


def test_changed_added_and_removed_keys_are_named() -> None:
    before = loads("a: {b: 1, c: 2}\nd: [1, 2]\ne: {f: 1}\ng: true")
    after = loads("a: {b: 1, c: 3, x: 1}\nd: [1, 3]\ng: 1")
    assert changed_keys(before, after) == ["a.c", "a.x", "d", "e", "g"]
