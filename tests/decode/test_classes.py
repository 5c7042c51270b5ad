"""Probabilities by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ppmm.decode.classes import ranked, softmax


def test_softmax_of_logarithms_is_their_share() -> None:
    np.testing.assert_allclose(softmax(np.log([[1.0, 2.0, 5.0]])), [[0.125, 0.25, 0.625]])


def test_softmax_of_huge_values_is_finite() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e30, 0.0], [-1e30, -1e30]], "float32")), [[1, 0], [0.5, 0.5]])


def test_the_most_probable_label_comes_first_and_ties_keep_their_order() -> None:
    first, second = ranked(["a", "b", "c"], np.log([[1.0, 2.0, 5.0], [1.0, 1.0, 1.0]]))
    assert list(first) == ["c", "b", "a"] and list(second) == ["a", "b", "c"]
    assert first == pytest.approx({"a": 0.125, "b": 0.25, "c": 0.625})
