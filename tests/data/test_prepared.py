"""Rows -> arrays: values, what is dropped, what a bad row says."""

import numpy as np
import pytest

from ppmm.data.collate import Collate
from ppmm.data.prepared import Prepared, drop_some
from ppmm.errors import DataError
from ppmm.modalities.label import Label
from ppmm.modalities.numeric import NumericField


class Noisy(NumericField):
    """A numeric field whose augmentation adds a random number."""

    def __call__(self, value, rng=None):
        array = super().__call__(value, rng)
        return array if rng is None else array + rng.random(self.size).astype("float32")


ROWS = [
    {"id": "a.jsonl:1", "left": [1, 2], "right": [5], "y": "cat"},
    {"id": "a.jsonl:2", "left": [3, 4], "y": "dog"},
    {"id": "a.jsonl:3", "right": [6], "y": "cat"},
]


def prepared(rows=ROWS, fields=None, targets=None, **options):
    fields = {"left": NumericField(2), "right": NumericField(1)} if fields is None else fields
    return Prepared(rows, fields, {"y": Label(["cat", "dog"])} if targets is None else targets, **options)


def test_values_and_absent_fields():
    data = prepared()
    assert len(data) == 3
    first, second, third = (data[0, row] for row in range(3))
    assert first["left"].tolist() == [1, 2] and first["right"].tolist() == [5]
    assert set(second) == {"index", "left", "y"} and set(third) == {"index", "right", "y"}
    assert [int(sample["y"]) for sample in (first, second, third)] == [0, 1, 0]
    assert [sample["index"].dtype for sample in (first, third)] == [np.int64] * 2 and int(third["index"]) == 2


def test_collated():
    data = prepared()
    batch = Collate(data.fields, data.targets)([data[0, row] for row in (2, 0, 1)])
    assert {name: array.tolist() for name, array in batch.items()} == {
        "index": [2, 0, 1], "y": [0, 0, 1],
        "left": [[0, 0], [1, 2], [3, 4]], "has_left": [False, True, True],
        "right": [[6], [5], [0]], "has_right": [True, True, False],
    }  # fmt: skip
    assert batch["y"].dtype == batch["index"].dtype == np.int64 and batch["has_left"].dtype == bool


def test_without():
    sample = prepared(without=["right"])[0, 0]
    assert set(sample) == {"index", "left", "y"}
    assert set(prepared(without=["right"], training=True, dropout={"left": 1.0})[0, 0]) == {"index", "left", "y"}


# --- randomness -----------------------------------------------------------------------------------------------------


def test_augmentation_is_a_function_of_seed_epoch_and_row():
    fields = {"left": Noisy(2)}

    def value(seed=0, epoch=0, row=0):
        return prepared(fields=fields, rows=ROWS[:2], seed=seed, training=True)[epoch, row]["left"] - ROWS[row]["left"]

    assert np.array_equal(value(1, 2, 1), value(1, 2, 1))
    draws = {tuple(value(seed, epoch, row)) for seed in range(3) for epoch in range(3) for row in range(2)}
    assert len(draws) == 18


def test_nothing_is_random_outside_training():
    data = prepared(fields={"left": Noisy(2), "right": Noisy(1)}, dropout={"left": 0.9, "right": 0.9})
    for epoch in range(20):
        assert data[epoch, 0]["left"].tolist() == [1, 2] and data[epoch, 0]["right"].tolist() == [5]


def test_modality_dropout_in_training_only_where_something_is_left():
    data = prepared(training=True, dropout={"left": 1.0})
    assert "left" not in data[0, 0] and "left" in data[0, 1], "the second row has nothing else"
    shares = np.mean([["left" in s, "right" in s] for s in (prepared(
        training=True, dropout={"left": 0.3, "right": 0.6})[epoch, 0] for epoch in range(2000))], axis=0)  # fmt: skip
    # dropped alone, plus half of the cases in which both draws say so: 0.3 - 0.18 / 2 and 0.6 - 0.18 / 2
    np.testing.assert_allclose(1 - shares, [0.21, 0.51], atol=0.05)


def test_drop_some_rates_by_hand():
    rates = {"a": 0.5, "b": 0.2}
    rng = np.random.default_rng(0)
    draws = [drop_some(["a", "b", "c"], rates, rng) for _ in range(4000)]
    gone = [np.mean([field not in kept for kept in draws]) for field in "abc"]
    np.testing.assert_allclose(gone, [0.5, 0.2, 0.0], atol=0.03)
    assert all(kept == sorted(kept) for kept in draws), "the order of the fields is kept"


def test_drop_some_keeps_one_and_chooses_it_fairly():
    rng = np.random.default_rng(0)
    kept = [drop_some(["a", "b", "c"], dict.fromkeys("abc", 1.0), rng) for _ in range(3000)]
    assert all(len(one) == 1 for one in kept)
    counts = [kept.count([field]) for field in "abc"]
    assert np.abs(np.array(counts) - 1000).max() < 155  # 6 standard deviations
    assert drop_some([], {}, rng) == [] and drop_some(["a"], {"a": 1.0}, rng) == ["a"]


def test_rate_zero_never_drops():
    rng = np.random.default_rng(0)
    assert all(drop_some(["a", "b"], {"a": 0.0}, rng) == ["a", "b"] for _ in range(500))


# --- bad rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"left": [1, 2, 3], "y": "cat"}, r"^x\.jsonl:7 left: expected 2 numbers"),
        ({"left": [1, 2], "y": "cow"}, r"^x\.jsonl:7 y: no class 'cow'"),
        ({"left": [1, 2]}, r"^x\.jsonl:7: the row has no 'y'"),
        ({"y": "cat"}, r"^x\.jsonl:7: the row has none of the fields left, right"),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_a_bad_row_names_itself(row, message, training):
    with pytest.raises(DataError, match=message):
        prepared([{"id": "x.jsonl:7", **row}], training=training)[0, 0]


def test_a_row_left_empty_by_without_says_so():
    with pytest.raises(DataError, match=r"^a\.jsonl:3: .* after dropping right"):
        prepared(without=["right"])[0, 2]
