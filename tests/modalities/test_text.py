"""The text field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities.text import TextField
from ppmm.modalities.tokenizer import CharacterTokenizer, WordTokenizer


def fitted(**settings_):
    field = TextField(WordTokenizer(), **settings_)
    field.fit(["a b c", "a b", "a"])
    return field


def test_ids_and_truncation():
    field = fitted(max_length=3)
    assert field("a c").tolist() == [2, 4] and field("a c").dtype == np.int64
    assert field("c b a a b").tolist() == [4, 3, 2]
    assert field("A zebra", np.random.default_rng(0)).tolist() == [2, 1]


def test_batch_matches_specs():
    field = fitted()
    batch = field.collate("question", [field("a b c"), None, field("a")])
    assert batch["question"].tolist() == [[2, 3, 4], [0, 0, 0], [2, 0, 0]]
    assert batch["question_mask"].tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    assert batch["has_question"].tolist() == [True, False, True]
    assert set(field.specs("question")) == set(batch)
    assert field.specs("question")["question"] == ((None, None), "int64")
    assert field.collate("q", [None])["q"].shape == (1, 1)
    assert field.provides() == {"vocab_size": 5}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "empty or blank"),
        (" \t\n\u3000", "empty or blank"),
        ("\u200b", "holds no token"),
        (None, "not NoneType"),
        (3, "not int 3"),
        (b"abc", "not bytes"),
        ("x" * 100_001, "100,001 characters; at most 100,000"),
        ("a \ud800", "not valid Unicode"),
    ],
)
def test_wrong_texts(value, message):
    with pytest.raises(DataError, match=message):
        fitted()(value)
    if message != "holds no token":
        with pytest.raises(DataError, match=message):
            TextField(WordTokenizer()).fit(["fine", value])


def test_unfitted():
    field = TextField(WordTokenizer())
    with pytest.raises(DataError, match="no vocabulary yet"):
        field("a")
    with pytest.raises(DataError, match="no vocabulary yet"):
        field.provides()
    with pytest.raises(DataError):
        field.fit([])


def test_assets_round_trip(tmp_path):
    field = fitted(tokenizer_file="question.json")
    assert field.save_assets(tmp_path) == ["question.json"]
    other = TextField(WordTokenizer(), tokenizer_file="question.json")
    other.load_assets(tmp_path)
    assert other("c a").tolist() == field("c a").tolist()


def test_assets_that_cannot_be_read(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read"):
        fitted().load_assets(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="cannot be read"):
        fitted().load_assets(tmp_path)
    fitted().save_assets(tmp_path)
    with pytest.raises(CheckpointError, match="does not split text"):
        TextField(CharacterTokenizer()).load_assets(tmp_path)


@pytest.mark.parametrize("settings_", [{"max_length": 0}, {"tokenizer_file": "../a.json"}, {"tokenizer_file": "a"}])
def test_wrong_settings(settings_):
    with pytest.raises(ConfigError):
        fitted(**settings_)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_gives_known_ids_or_a_data_error(text):
    field = FITTED
    try:
        ids = field(text)
    except DataError:
        return
    assert 1 <= len(ids) <= 64 and ids.min() >= 1 and ids.max() < 5


FITTED = fitted()
