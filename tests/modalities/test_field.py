"""Collation helpers: padding, masks and presence flags, by hand."""

import numpy as np

from ppmm.modalities.field import FieldBase, pad_ragged, stack_fixed


def test_stack_fixed_fills_absent_rows_with_zeros():
    batch = stack_fixed("x", [np.array([1.0, 2.0]), None], (2,), "float32")
    assert batch["x"].tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert batch["x"].dtype == np.float32
    assert batch["has_x"].tolist() == [True, False]


def test_pad_ragged_masks_padding_and_absent_rows():
    batch = pad_ragged("t", [np.array([5, 6]), None, np.array([7, 8, 9])], (), "int64")
    assert batch["t"].tolist() == [[5, 6, 0], [0, 0, 0], [7, 8, 9]]
    assert batch["t_mask"].tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert batch["has_t"].tolist() == [True, False, True]
    assert batch["t"].dtype == np.int64 and batch["t_mask"].dtype == bool


def test_pad_ragged_keeps_the_declared_minimum():
    batch = pad_ragged("a", [None, None], (3,), "float32", min_length=4)
    assert batch["a"].shape == (2, 4, 3) and not batch["a"].any()
    assert batch["a_mask"].shape == (2, 4) and not batch["a_mask"].any()
    assert pad_ragged("a", [np.ones((6, 3))], (3,), "float32", min_length=4)["a"].shape == (1, 6, 3)


def test_base_field_learns_and_saves_nothing(tmp_path):
    field = FieldBase()
    field.fit(["anything"])
    assert field.save_assets(tmp_path) == [] and list(tmp_path.iterdir()) == []
    field.load_assets(tmp_path)
    assert field.provides() == {}
