"""Orders of an epoch: shares, coverage, reproducibility."""

from collections import Counter

import numpy as np
import pytest

from ppmm.data.columns import column_of, group_starts, lengths_of
from ppmm.data.datasets.concat import Concat
from ppmm.data.samplers.class_balanced import ClassBalanced
from ppmm.data.samplers.mixed import Mixed
from ppmm.data.samplers.quota import quota_order, quotas_of
from ppmm.data.samplers.shuffle_buffer import ShuffleBuffer
from ppmm.errors import ConfigError, DataError
from ppmm.registry import SAMPLERS


def rows(count, classes=2, name="a"):
    return [{"id": f"{name}{i}", "y": "rare" if i % 10 == 0 else i % classes, "n": i} for i in range(count)]


def test_registered():
    assert {"class_balanced", "mixed", "shuffle_buffer"} <= set(SAMPLERS.names())


def test_quotas_by_largest_remainder():
    assert quotas_of([1, 1, 1], 10, "abc") == [4, 3, 3]
    assert quotas_of([0.5, 0.3, 0.2], 7, "abc") == [4, 2, 1]  # 3.5, 2.1, 1.4: the one left goes to the first
    with pytest.raises(DataError, match="none of b"):
        quotas_of([100, 1], 10, "ab")


def test_every_row_of_a_group_comes_equally_often():
    groups = [np.arange(7), np.arange(100, 103)]
    seen = Counter(row for epoch in range(21) for row in quota_order(groups, [4, 5], 3, epoch).tolist())
    assert {seen[row] for row in range(7)} == {12}  # 21 epochs of 4 over 7 rows
    assert {seen[row] for row in (100, 101, 102)} == {35}
    assert quota_order(groups, [4, 5], 3, 8).tolist() == quota_order(groups, [4, 5], 3, 8).tolist()


def test_class_balanced():
    data = rows(40)
    labels = np.array([row["y"] for row in data], dtype=str)
    order = ClassBalanced("y").order(data, 0, 0)
    assert Counter(labels[order].tolist()) == {"0": 14, "1": 13, "rare": 13}
    as_it_is = ClassBalanced("y", power=0.0).order(data, 0, 1)
    assert sorted(as_it_is.tolist()) == list(range(40))
    half = ClassBalanced("y", power=0.5, rows=100).order(data, 0, 1)  # shares: roots of 4, 16, 20
    assert Counter(labels[half].tolist()) == {"rare": 19, "0": 38, "1": 43}
    del data[3]["y"]
    with pytest.raises(DataError, match="a3: the row has no 'y'"):
        ClassBalanced("y").order(data, 0, 0)


def test_mixed():
    data = Concat([rows(10), rows(30, name="b"), rows(5, name="c")])
    order = Mixed([1, 1, 2], rows=400).order(data, 0, 0)
    assert Counter(data[row]["id"][0] for row in order.tolist()) == {"a": 100, "b": 100, "c": 200}
    assert len(Mixed([1, 1, 1]).order(data, 0, 0)) == 45
    with pytest.raises(ConfigError, match="2 weights for 3 parts"):
        Mixed([1, 2]).order(data, 0, 0)


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_shuffle_buffer(size):
    data = Concat([rows(10), rows(30), rows(20)])
    orders = [ShuffleBuffer(size).order(data, 1, epoch).tolist() for epoch in range(4)]
    for order in orders:
        assert sorted(order) == list(range(60))
    assert len({tuple(order) for order in orders}) > 1
    if size == 1:  # shards in random order, each in sequence
        assert all(
            order[place + 1] == order[place] + 1
            for order in orders
            for place in range(60)
            if order[place] not in (9, 39, 59)
        )
    if size == 4:  # a row can come at most as many places early as the buffer is long
        plain = ShuffleBuffer(1).order(data, 1, 0).tolist()
        assert all(place >= plain.index(row) - 3 for place, row in enumerate(orders[0]))


def test_concat():
    data = Concat([rows(3), rows(2, name="b")])
    assert [data[i]["id"] for i in range(5)] == ["a0", "a1", "a2", "b0", "b1"] and data[-1]["id"] == "b1"
    assert data.group_starts().tolist() == [0, 3] and list(data.column("n")) == [0, 1, 2, 0, 1]
    assert lengths_of(data, "n").tolist() == [0, 1, 2, 0, 1] and len(data) == 5
    with pytest.raises(IndexError):
        data[5]
    with pytest.raises(ConfigError):
        Concat([rows(1), []])


def test_what_samplers_ask_of_rows(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    values = ["abc", tmp_path / "f", b"xy", (np.zeros(7), 8000), 2.5, np.zeros((4, 2)), tmp_path / "none", None, True]
    data = [{"id": str(i), **({} if value is None else {"v": value})} for i, value in enumerate(values)]
    assert lengths_of(data, "v").tolist() == [3, 5, 2, 7, 2.5, 4, 0, 0, 0]
    assert list(column_of(data, "v"))[:3] == values[:3] and group_starts(data).tolist() == [0]
    with pytest.raises(DataError, match="no row of the training split has a 'w'"):
        lengths_of(data, "w")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClassBalanced("y", 1.5), lambda: ClassBalanced("y", rows=0), lambda: Mixed([]), lambda: Mixed([1, 0]),
        lambda: Mixed([1], rows=0), lambda: ShuffleBuffer(0),
    ],
)  # fmt: skip
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()
