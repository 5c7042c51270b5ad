"""Answers as the VQA challenge normalises them; expected texts were worked out from its rules by hand."""

import numpy as np
import pytest

from ppmm.errors import DataError
from ppmm.modalities.vqa_answers import SPELLINGS, VqaAnswers, answer_keys, normalise_answer


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The dog.", "dog"),
        ("a Cat and an Owl", "cat and owl"),
        ("none", "0"),
        ("Ten", "10"),
        ("eleven", "eleven"),
        ("dont", "don't"),
        ("couldntve", "couldntve"),
        ("couldn'tve", "couldn't've"),
        ("couldnt've", "couldn't've"),
        ("somebody'd", "somebodyd"),
        ("cant, wont", "can't won't"),
        ("x-ray", "x ray"),  # no space beside the mark: it becomes one
        ("yes, sir", "yes sir"),  # a space beside it: it goes
        ("1,000", "1000"),  # a comma within a number: every mark goes
        ("1,000-2", "10002"),
        ("3.5", "3.5"),
        (".5 m.", ".5 m"),
        ("U.S.A", "usa"),
        ("red/blue", "red blue"),
        ("what?", "what"),
        ("the", ""),
        ("." * 40, "." * 8),  # only so many periods are taken away
        ("it's $5", "it's $5"),
    ],
)
def test_normal_form(answer, normal):
    assert normalise_answer(answer) == normal


def test_table_of_contractions():
    assert len(SPELLINGS) == 114 and SPELLINGS["twas"] == "'twas" and SPELLINGS["yall'd've"] == "y'all'd've"


def test_different_answers_are_compared_in_normal_form():
    keys = VqaAnswers()(["Two", "2", "the 2."] + ["three"] * 7)
    assert keys.dtype == np.int64 and keys.shape == (10,)
    assert set(keys[:3]) == {answer_keys("two")[1]} and set(keys[3:]) == {answer_keys("3")[1]}


def test_equal_answers_are_compared_as_they_are():
    keys = VqaAnswers()(["two"] * 10)
    assert set(keys) == {answer_keys("two")[0]} and answer_keys("2")[0] != keys[0] != answer_keys("two")[1]
    assert set(VqaAnswers()(["a\tb", " a b\n"])) == {answer_keys("a b")[0], -1}


def test_fewer_answers_are_padded():
    assert VqaAnswers(4)(["yes", "no"]).tolist()[2:] == [-1, -1]


@pytest.mark.parametrize("value", ["yes", [1, 2], [], ["a"] * 11, None])
def test_other_values_are_refused(value):
    with pytest.raises(DataError, match="answers"):
        VqaAnswers()(value)
