"""Keys, numbers and several labels as targets."""

from pathlib import Path

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.key import Key
from ppmm.modalities.multi_label import MultiLabel
from ppmm.modalities.number import Number
from ppmm.registry import TARGETS


def test_equal_values_have_equal_keys_and_others_do_not():
    key = Key()
    values = ["a", "b", 3, 3.5, -3, b"a", ["a", "b"], ["ab"], {"x": 1}, np.array([1, 2]), np.array([1.0, 2.0]), ""]
    numbers = [int(key(value)) for value in values]
    assert len(set(numbers)) == len(values) and all(number != -1 for number in numbers)
    for one, two in [("a", " a "), (3, "3"), (3, 3.0), (np.int64(3), 3), (Path("x/y.png"), "x/y.png"), (["a"], ("a",))]:
        assert int(key(one)) == int(key(two))
    assert key("a").dtype == np.int64 and key("a").shape == ()
    assert int(key("a")) == 3859675539163262437, "keys must not change between runs and machines"
    with pytest.raises(DataError, match="not set"):
        key({"a"})
    assert int(Key.absent) == -1 and Key(column="image").column == "image"


def test_numbers():
    number = Number()
    assert [float(number(value)) for value in (3, "3.5", -1e-3, np.float32(2))] == pytest.approx([3, 3.5, -1e-3, 2])
    assert number(1).dtype == np.float32 and number(1).shape == ()
    for value in ("x", True, None, [1], float("nan"), "inf", 1e39):
        with pytest.raises(DataError):
            number(value)


def test_several_labels():
    target = MultiLabel()
    target.fit(["cat|dog", ["fish"], "dog", "10"])
    assert target.labels == ["10", "cat", "dog", "fish"] and target.out_dim == 4
    assert target("dog | cat").tolist() == [0, 1, 1, 0] and target(["fish", "fish"]).tolist() == [0, 0, 0, 1]
    assert target(10).tolist() == [1, 0, 0, 0] and target("dog").dtype == np.float32
    with pytest.raises(DataError, match="no class 'cot'; did you mean 'cat'"):
        target("cot")
    with pytest.raises(DataError, match="allow_empty"):
        target([])
    assert target.absent is None


def test_thresholds_by_label():
    assert MultiLabel().thresholds is None and MultiLabel(classes=["a", "b"]).thresholds == [0.5, 0.5]
    assert MultiLabel(classes=["a", 7], threshold=0.2).thresholds == [0.2, 0.2]
    target = MultiLabel(threshold={"dog": 0.3})
    target.fit(["dog|cat"])
    assert target.labels == ["cat", "dog"] and target.thresholds == [0.5, 0.3]
    for value in (0.0, 1.0, -1.0, float("nan"), {"a": 2.0}):
        with pytest.raises(ConfigError, match="no probability above 0 and below 1"):
            MultiLabel(threshold=value)
    with pytest.raises(ConfigError, match="threshold: no class 'dgo'; did you mean 'dog'"):
        MultiLabel(classes=["cat", "dog"], threshold={"dgo": 0.3})
    with pytest.raises(ConfigError, match="threshold: no class 'dog'"):
        MultiLabel(threshold={"dog": 0.3}).fit(["cat"])
    with pytest.raises(ConfigError, match="threshold: no class 'dog'"):
        MultiLabel(threshold={"dog": 0.3}).load_labels(["cat"])


def test_no_label_at_all():
    target = MultiLabel(classes=["a", "b"], separator=";", allow_empty=True)
    assert target("").tolist() == target([]).tolist() == target.absent.tolist() == [0, 0]
    assert target("a;b").tolist() == [1, 1]
    with pytest.raises(ConfigError, match="separator"):
        MultiLabel(separator="")


def test_every_target_says_what_the_protocol_asks():
    for name in TARGETS.names():
        target = TARGETS.get(name)()
        assert target.kind in ("label", "multi_label", "number", "key", "answers", "attributes")
        assert target.labels is None and target.column is None
        assert (target.out_dim == 1) if name == "number" else target.out_dim is None
        if target.kind not in ("label", "multi_label"):
            with pytest.raises(DataError):
                target.load_labels(["a"])
