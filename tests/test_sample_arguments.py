"""The options that name one sample."""

from __future__ import annotations

import argparse

import pytest

from ppmm.errors import DataError
from ppmm.sample_arguments import add_sample_arguments, pairs, sample_of


def parse(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_sample_arguments(parser)
    return sample_of(parser.parse_args(words))


def test_only_given_fields_are_in_the_sample() -> None:
    assert parse() == {}
    assert parse("--text", "how many?", "--image", "a.png") == {"image": "a.png", "text": "how many?"}


def test_other_fields_by_name() -> None:
    assert parse("--field", "image_left=a.png", "note=x=y", "--field", "b=") == {
        "image_left": "a.png", "note": "x=y", "b": "",
    }  # fmt: skip


def test_a_pair_needs_an_equals_sign() -> None:
    with pytest.raises(DataError, match="expected NAME=VALUE, got 'image'"):
        pairs(["a=1", "image"])
