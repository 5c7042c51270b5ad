"""Answers of each kind of target by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ppmm.decode.answers import target_answers


def test_a_label_is_the_most_probable_class() -> None:
    (answer,) = target_answers("digit", "label", ["a", "b"], np.log([[1.0, 3.0]]))
    assert answer["digit"] == "b" and answer["probabilities"] == pytest.approx({"b": 0.75, "a": 0.25})


def test_several_labels_are_each_judged_by_itself() -> None:
    logits = np.array([[0, np.log(3), -1e4], [-5, -6, -7]])
    first, second = target_answers("tags", "multi_label", ["a", "b", "c"], logits)
    assert first["tags"] == ["b", "a"] and first["probabilities"] == pytest.approx({"b": 0.75, "a": 0.5, "c": 0.0})
    assert second["tags"] == [] and list(second["probabilities"]) == ["a", "b", "c"]


def test_each_label_has_its_threshold() -> None:
    """sigmoid(-ln 3) = 1/4 and sigmoid(ln 3) = 3/4; what is exactly the threshold is given."""
    logits = np.array([[-np.log(3), np.log(3), 0]])
    (answer,) = target_answers("tags", "multi_label", ["a", "b", "c"], logits, [0.2, 0.8, 0.5])
    assert answer["tags"] == ["c", "a"] and list(answer["probabilities"]) == ["b", "c", "a"]
    assert list(answer["thresholds"].items()) == [("b", 0.8), ("c", 0.5), ("a", 0.2)]
    (plain,) = target_answers("tags", "multi_label", ["a", "b", "c"], logits)
    assert plain["tags"] == ["b", "c"] and set(plain["thresholds"].values()) == {0.5}


def test_a_number_is_itself() -> None:
    assert target_answers("age", "number", None, np.array([[1.5], [-2.0]], "float32")) == [{"age": 1.5}, {"age": -2.0}]
