"""Tokenisers: ids by hand, and the plain `tokenizers` library as the independent reader."""

import json

import pytest
from tokenizers import Tokenizer

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities.tokenizer import CharacterTokenizer, WordTokenizer
from ppmm.registry import TOKENIZERS

CORPUS = ["Is it the same digit?", "Is 7 the digit?", "图中的数字是几？"]


def fitted(cls=WordTokenizer, **settings):
    tokenizer = cls(**settings)
    tokenizer.fit(CORPUS)
    return tokenizer


def test_names():
    assert TOKENIZERS.get("word") is WordTokenizer and TOKENIZERS.get("character") is CharacterTokenizer


def test_word_ids_are_by_count_then_code_point():
    tokenizer = fitted()
    # "?" 3 times (full width too); digit, is, the twice; then once each: 7 it same 中 几 图 字 数 是 的
    order = ["[PAD]", "[UNK]", "?", "digit", "is", "the", "7", "it", "same", *sorted("图中的数字是几")]
    vocab = json.loads(tokenizer.to_json())["model"]["vocab"]
    assert sorted(vocab, key=vocab.get) == order and len(tokenizer) == len(order)
    assert tokenizer.encode("IS the Unicorn 7?") == [4, 5, 1, 6, 2]


def test_cjk_kana_and_punctuation_stand_alone():
    tokenizer = WordTokenizer()
    tokenizer.fit(["图片abc，カナ don't"])
    plain = Tokenizer.from_str(tokenizer.to_json())
    assert plain.encode("图片abc，カナ don't").tokens == ["图", "片", "abc", ",", "カ", "ナ", "don", "'", "t"]


@pytest.mark.parametrize("cls", [WordTokenizer, CharacterTokenizer])
def test_the_file_is_read_by_the_plain_library(cls):
    tokenizer = fitted(cls)
    plain = Tokenizer.from_str(tokenizer.to_json())
    for text in [*CORPUS, "Ｆｕｌｌ　width [PAD] [UNK]", "日本 é ﬁ", ""]:
        assert plain.encode(text).ids == tokenizer.encode(text)


def test_special_tokens_cannot_be_typed():
    tokenizer = WordTokenizer()
    tokenizer.fit(["[PAD] [UNK] x"])
    assert 0 not in tokenizer.encode("[PAD] x") and 1 not in tokenizer.encode("[UNK] x")


def test_characters():
    tokenizer = CharacterTokenizer()
    tokenizer.fit(["  Ab\n\n a "])
    assert json.loads(tokenizer.to_json())["model"]["vocab"] == {"[PAD]": 0, "[UNK]": 1, "a": 2, " ": 3, "b": 4}
    assert tokenizer.encode("B aq") == [4, 3, 2, 1]


def test_min_count_and_max_vocab():
    assert len(fitted(min_count=2)) == 6
    small = fitted(max_vocab=3)
    assert len(small) == 3 and small.encode("digit ?") == [1, 2]


def test_same_corpus_in_any_order_same_file():
    other = WordTokenizer()
    other.fit(CORPUS[::-1])
    assert other.to_json() == fitted().to_json()


@pytest.mark.parametrize("cls", [WordTokenizer, CharacterTokenizer])
def test_round_trip(cls):
    first, second = fitted(cls), cls()
    second.from_json(first.to_json())
    assert second.encode("Is 7 图?") == first.encode("Is 7 图?") and second.to_json() == first.to_json()


def test_unfitted_says_what_to_do():
    for use in (lambda t: t.encode("a"), len, lambda t: t.to_json()):
        with pytest.raises(DataError, match="fit it on the training texts"):
            use(WordTokenizer())


def test_nothing_frequent_enough():
    with pytest.raises(DataError, match="occurs 9 times"):
        fitted(min_count=9)


def edited(**changes):
    tree = json.loads(fitted().to_json())
    tree["model"].update(changes)
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "'WordLevel'"),
        ("{}", "'WordLevel'"),
        (edited(type="BPE"), "type 'BPE'"),
        (edited(vocab=[]), "no vocabulary"),
        (edited(vocab={"[PAD]": 0, "[UNK]": "1"}), "no vocabulary"),
        (edited(vocab={"[PAD]": 0, "[UNK]": 1, "a": 3}), "must number"),
        (edited(vocab={"[PAD]": 1, "[UNK]": 0}), "must number"),
        (edited(unk_token="a"), "does not split text"),
        (edited(unk_token=7), "damaged"),
        (fitted(CharacterTokenizer).to_json(), "does not split text as WordTokenizer"),
    ],
)
def test_broken_files(content, message):
    tokenizer = fitted()
    before = tokenizer.to_json()
    with pytest.raises(CheckpointError, match=message):
        tokenizer.from_json(content)
    assert tokenizer.to_json() == before


@pytest.mark.parametrize("settings", [{"min_count": 0}, {"max_vocab": 2}])
def test_wrong_settings(settings):
    with pytest.raises(ConfigError):
        WordTokenizer(**settings)
