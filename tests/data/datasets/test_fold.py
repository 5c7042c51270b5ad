"""Folds: disjoint, complete, groups whole, classes even, and the same each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ppmm.data.datasets.fold import Fold
from ppmm.errors import ConfigError, DataError


class Rows:
    """60 rows: three classes in shares 1/2, 1/3, 1/6, ten speakers of six rows each."""

    def __init__(self, count: int = 60) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"id": f"r{index}", "digit": "aaabbc"[index % 6], "speaker": index // 6, "age": index}

    def group_starts(self) -> np.ndarray:
        return np.array([0, 30])


def folds(count: int = 5, rows: Any = None, **arguments: Any) -> list[tuple[Fold, Fold]]:
    rows = Rows() if rows is None else rows
    return [
        (Fold(rows, count, fold, "train", **arguments), Fold(rows, count, fold, "val", **arguments))
        for fold in range(count)
    ]


def ids(fold: Fold) -> set[str]:
    return {fold[index]["id"] for index in range(len(fold))}


@pytest.mark.parametrize("arguments", [{}, {"group_by": "speaker"}, {"stratify": "digit"}, {"seed": 3}])
def test_folds_are_disjoint_and_cover_everything(arguments: dict[str, Any]) -> None:
    everything = {f"r{row}" for row in range(60)}
    seen: Counter[str] = Counter()
    for train, val in folds(**arguments):
        assert ids(train) & ids(val) == set() and ids(train) | ids(val) == everything
        assert len(val) == 12 and len(train) == 48
        seen.update(ids(val))
    assert set(seen) == everything and set(seen.values()) == {1}


def test_a_group_never_straddles() -> None:
    for train, val in folds(group_by="speaker"):
        assert len(set(val.column("speaker"))) == 2
        assert set(train.column("speaker")) & set(val.column("speaker")) == set()


def test_every_fold_has_the_shares_of_the_classes() -> None:
    for train, val in folds(stratify="digit"):
        assert Counter(val.column("digit")) == {"a": 6, "b": 4, "c": 2}
        assert Counter(train.column("digit")) == {"a": 24, "b": 16, "c": 8}


def test_the_same_seed_deals_the_same_and_another_one_does_not() -> None:
    first, again, other = (folds(seed=seed)[0][1].rows.tolist() for seed in (1, 1, 2))
    assert first == again and first != other


def test_columns_and_starts_are_those_of_the_rows_that_are_left() -> None:
    train, val = folds(3)[1]
    for part in (train, val):
        assert list(part.column("age")) == part.rows.tolist() == [part[i]["age"] for i in range(len(part))]
        assert part.lengths("age").tolist() == part.rows.astype(float).tolist()
        starts = part.group_starts()
        assert starts[0] == 0 and part.rows[starts[1]] >= 30 > part.rows[starts[1] - 1]


class Table(Rows):
    """As the tables of published data sets: an unknown column is a KeyError."""

    def column(self, name: str) -> Iterator[Any]:
        return iter({"digit": ["a"] * 60}[name])


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"folds": 1}, ConfigError, "folds must be at least 2, got 1"),
        ({"fold": 5}, ConfigError, "fold must be from 0 to 4, got 5"),
        ({"part": "test"}, ConfigError, "part must be train or val"),
        ({"folds": 61}, DataError, "60 rows cannot be dealt to 61 folds"),
        ({"folds": 11, "group_by": "speaker"}, DataError, "10 values of 'speaker' cannot be dealt to 11 folds"),
        ({"group_by": "speakr"}, DataError, "group_by: no row has a 'speakr'; the first row has digit, speaker, age"),
        ({"of": Table(), "group_by": "speakr"}, DataError, "group_by: no row has a 'speakr'"),
        ({"stratify": "age"}, DataError, "stratify: 'age' has 60 different values in 60 rows"),
    ],
)
def test_a_mistake_is_told(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Fold(**{"of": Rows(), "folds": 5, "fold": 0, "part": "val", **arguments})
