"""Splits: shares, classes, groups, determinism."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ppmm.data.curate.split import split_rows
from ppmm.errors import ConfigError, DataError

PARTS = {"train": 0.8, "val": 0.1, "test": 0.1}


def test_every_part_has_its_share_of_every_class() -> None:
    strata = ["a"] * 700 + ["b"] * 200 + ["c"] * 100
    dealt = split_rows([str(i) for i in range(1000)], PARTS, strata=strata)
    assert sorted(row for rows in dealt.values() for row in rows) == list(range(1000))
    counts = {name: Counter(strata[i] for i in rows) for name, rows in dealt.items()}
    assert counts == {
        "train": {"a": 560, "b": 160, "c": 80}, "val": {"a": 70, "b": 20, "c": 10}, "test": {"a": 70, "b": 20, "c": 10},
    }  # fmt: skip


def test_groups_stay_whole_and_classes_stay_near() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 150, 3000).tolist()
    strata = rng.choice(["x", "y", "z"], 3000, p=[0.6, 0.3, 0.1]).tolist()
    dealt = split_rows([str(i) for i in range(3000)], PARTS, strata=strata, groups=groups)
    homes = [{groups[i] for i in rows} for rows in dealt.values()]
    assert not (homes[0] & homes[1] or homes[0] & homes[2] or homes[1] & homes[2])
    for name, rows in dealt.items():
        assert len(rows) / 3000 == pytest.approx(PARTS[name], abs=0.02)
        shares = Counter(strata[i] for i in rows)
        assert shares["x"] / len(rows) == pytest.approx(0.6, abs=0.04)
        assert shares["z"] / len(rows) == pytest.approx(0.1, abs=0.03)


def test_seed_decides_and_order_does_not() -> None:
    keys = [f"row{i}" for i in range(200)]
    one = split_rows(keys, PARTS, seed=1)
    assert one == split_rows(keys, PARTS, seed=1) != split_rows(keys, PARTS, seed=2)
    back = split_rows(keys[::-1], PARTS, seed=1)
    assert {keys[::-1][i] for i in back["test"]} == {keys[i] for i in one["test"]}


def test_rows_without_a_group_stand_alone() -> None:
    groups = ["g"] * 50 + [None] * 50
    dealt = split_rows([str(i) for i in range(100)], {"a": 0.5, "b": 0.5}, groups=groups)
    assert sorted(len(rows) for rows in dealt.values()) == [50, 50]
    assert any(set(range(50)) <= set(rows) for rows in dealt.values())


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(DataError, match="1 groups cannot fill 3 parts"):
        split_rows(["a", "b"], PARTS, groups=["g", "g"])
    with pytest.raises(ConfigError, match="above 0"):
        split_rows(["a", "b"], {"a": 1.0, "b": 0.0})
