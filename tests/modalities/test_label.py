"""The label target."""

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.label import Label


def test_listed_classes():
    label = Label(["yes", "no", 0, 1])
    assert label.labels == ["yes", "no", "0", "1"]
    assert [int(label(value)) for value in ("yes", 0, "0", " 1 ", np.int64(1))] == [0, 2, 2, 3, 3]
    assert label("no").shape == () and label("no").dtype == np.int64
    label.fit(["other"])
    assert label.labels == ["yes", "no", "0", "1"]


def test_discovered_classes_are_in_number_order_when_all_are_whole_numbers():
    label = Label()
    label.fit([10, "9", -1, 9, "10"])
    assert label.labels == ["-1", "9", "10"]
    words = Label()
    words.fit(["b", "10", "9"])
    assert words.labels == ["10", "9", "b"]


def test_unknown_label_names_what_is_near():
    with pytest.raises(DataError, match="no class 'ye'; did you mean 'yes'"):
        Label(["yes", "no"])("ye")
    with pytest.raises(DataError, match="no class 'zzz'; there are 100"):
        Label(list(range(100)))("zzz")


@pytest.mark.parametrize("value", [None, 1.5, True, [1], "", "  ", b"yes"])
def test_wrong_labels(value):
    with pytest.raises(DataError, match="label"):
        Label(["yes", "no"])(value)


def test_not_known_yet():
    with pytest.raises(DataError, match="not known yet"):
        Label()("a")
    with pytest.raises(DataError, match="no labels"):
        Label().fit([])


def test_too_many():
    with pytest.raises(DataError, match="10,001 different labels"):
        Label().fit(range(10_001))


@pytest.mark.parametrize(
    ("classes", "message"),
    [([], "empty"), (["a", "a"], "listed twice: a"), (["1", 1], "listed twice: 1"),
     ([True, False], "quotes around yes"), ([1.5], "whole number"), (list(range(10_001)), "too many")],
)  # fmt: skip
def test_wrong_classes(classes, message):
    with pytest.raises(ConfigError, match=message):
        Label(classes)
