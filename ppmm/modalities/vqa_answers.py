"""The ten people's answers to a question, normalised as the VQA challenge does before it compares them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.registry import TARGETS

__all__ = ["NO_ANSWER", "VqaAnswers", "answer_keys", "normalise_answer"]

NO_ANSWER = -1
ARTICLES = {"a", "an", "the"}
NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
PERIODS = 32  # the evaluation code hands re.UNICODE, which is 32, to `sub` as the count
COMMA_IN_NUMBER = re.compile(r"\d,\d")
PERIOD = re.compile(r"\.(?!\d)")
# What is written right. Each is recognised without its apostrophes and, where it has two, with either one missing.
CONTRACTIONS = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's isn't
    it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've shouldn't
    somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's
    they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd where's
    where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've
"""
DOUBLE_CONTRACTIONS = """
    couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've something'd've
    there'd've they'd've we'd've who'd've wouldn't've you'd've
"""
PECULIAR = {  # as the evaluation code has them, its slip at somebody'd included
    "somebody'd": "somebodyd",
    "ow's'at": "'ow's'at", "'ows'at": "'ow's'at", "'ow'sat": "'ow's'at",
    "yall'll": "y'all'll", "y'allll": "y'all'll",
    "yall'd've": "y'all'd've", "y'alld've": "y'all'd've", "y'all'dve": "y'all'd've",
}  # fmt: skip
SPELLINGS = {
    **{word.replace("'", ""): word for word in CONTRACTIONS.split()},
    **{word.replace("'", "", 1): word for word in DOUBLE_CONTRACTIONS.split()},
    **{"".join(word.rsplit("'", 1)): word for word in DOUBLE_CONTRACTIONS.split()},
    **PECULIAR,
}


def normalise_answer(answer: str) -> str:
    """Without punctuation and articles, number words as digits, contractions with their apostrophes, lower case.

    The rules of the challenge's evaluation code (Antol et al. 2015, https://visualqa.org/evaluation.html): a
    punctuation mark goes where it touches a space or where the answer has a number with a comma, and becomes a space
    elsewhere; a period stays before a digit.
    """
    text = answer
    for mark in PUNCTUATION:
        lonely = f"{mark} " in answer or f" {mark}" in answer or COMMA_IN_NUMBER.search(answer) is not None
        text = text.replace(mark, "" if lonely else " ")
    words = [NUMBERS.get(word, word) for word in PERIOD.sub("", text, count=PERIODS).lower().split()]
    return " ".join(SPELLINGS.get(word, word) for word in words if word not in ARTICLES)


def answer_keys(answer: str) -> tuple[int, int]:
    """Numbers that stand for an answer as it is and for its normal form; the two kinds are never equal."""
    text = _plain(answer)
    return _number(f"as it is: {text}"), _number(f"normal: {normalise_answer(text)}")


@TARGETS.register("vqa_answers")
class VqaAnswers:
    """A list of people's answers -> int64 [size], a number for each answer and -1 where there are fewer.

    As in the challenge's evaluation code, answers that are all the same are compared as they are, and others in their
    normal form; the numbers are those of `answer_keys`.

    Args:
        size: answers of a question, at most.
    """

    kind = "answers"
    labels: list[str] | None = None
    out_dim: int | None = None
    column: str | None = None
    absent: np.ndarray | None = None

    def __init__(self, size: int = 10) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size

    def __call__(self, value: Any) -> np.ndarray:
        """Answers -> int64 [size]. Raises DataError for what is no list of texts, or too long."""
        if not isinstance(value, list | tuple) or not all(isinstance(answer, str) for answer in value):
            raise DataError(f"answers must be a list of texts, not {ascii(value)[:40]}")
        if not 1 <= len(value) <= self.size:
            raise DataError(f"{len(value)} answers; 1 to {self.size} are expected")
        normal = len({_plain(answer) for answer in value}) > 1
        keys = np.full(self.size, NO_ANSWER, dtype=np.int64)
        keys[: len(value)] = [answer_keys(answer)[normal] for answer in value]
        return keys

    def fit(self, values: Sequence[Any]) -> None:
        """There is nothing to learn."""

    def load_labels(self, labels: list[str]) -> None:
        raise DataError("vqa_answers has no classes")


def _plain(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _number(text: str) -> int:
    """A hash of 63 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
