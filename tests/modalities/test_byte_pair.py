"""Byte-pair and jieba tokenisers, and the options that the learned ones share."""

import pytest
from tokenizers import Tokenizer

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities.byte_pair import BytePairTokenizer
from ppmm.modalities.jieba_tokenizer import JiebaTokenizer
from ppmm.modalities.tokenizer import CharacterTokenizer, WordTokenizer

CORPUS = ["low lower lowest", "new newer newest", "low new", "这是一个数字", "这是什么数字"] * 3


def fitted(cls=BytePairTokenizer, texts=CORPUS, **settings):
    tokenizer = cls(**settings)
    tokenizer.fit(texts)
    return tokenizer


def test_merges_by_hand():
    tokenizer = fitted(texts=["aaab aaab ab"], vocab_size=258 + 2, min_count=1)
    # with the space in front, marked by Ġ: pairs aa 4, ab 3, Ġa 3 -> aa; then ab 3, Ġaa 2, aaa 0 ... -> ab
    pieces = tokenizer._fitted().encode("aaab ab").tokens
    assert len(tokenizer) == 260 and "".join(pieces) == "ĠaaabĠab" and "ab" in pieces and "aa" in pieces


def test_frequent_words_are_one_token_and_nothing_is_unknown():
    tokenizer = fitted()
    assert len(tokenizer.encode("low")) == 1 and len(tokenizer.encode("数字")) <= 2
    for text in ["low", "Ünïcödé", "这是一个 new 数字", "🙂", "\x01"]:
        ids = tokenizer.encode(text)
        assert ids and 1 not in ids and tokenizer.decode(ids) == text


def test_same_corpus_same_ids():
    assert fitted().to_json() == fitted().to_json() == fitted(texts=CORPUS[::-1]).to_json()


def test_round_trip_and_plain_library():
    tokenizer, other = fitted(), BytePairTokenizer()
    other.from_json(tokenizer.to_json())
    for text in ["lowest newest", "什么 low?", "x"]:
        assert other.encode(text) == tokenizer.encode(text)
        assert Tokenizer.from_str(tokenizer.to_json()).encode(text).ids == tokenizer.encode(text)
    assert other.mask_id == 1 and other.end_id is None and len(other) == len(tokenizer)


def test_normalization_and_case():
    assert fitted().encode("ｌｏｗ") == fitted().encode("low") != fitted(normalization="NFC").encode("ｌｏｗ")
    assert fitted(lowercase=True).encode("LOW") == fitted(lowercase=True).encode("low")
    assert fitted(lowercase=False).encode("LOW") != fitted().encode("low")
    texts = ["Cafe\u0301 Ａ"]
    assert "Café" in fitted(WordTokenizer, texts, lowercase=False, normalization="NFC").to_json()
    assert "cafe\u0301" in fitted(WordTokenizer, texts, normalization="NFD").to_json()
    assert "Ａ" in fitted(CharacterTokenizer, texts, lowercase=False, normalization="none").to_json()
    assert '"A"' in fitted(CharacterTokenizer, texts, lowercase=False).to_json()


@pytest.mark.parametrize("text", ["", "{}", '{"model": {}}', fitted(WordTokenizer).to_json(),
                                  fitted(lowercase=True).to_json()])  # fmt: skip
def test_files_of_others_are_refused(text):
    with pytest.raises(CheckpointError):
        BytePairTokenizer().from_json(text)


def test_wrong_settings():
    for settings in ({"vocab_size": 100}, {"min_count": 0}):
        with pytest.raises(ConfigError):
            BytePairTokenizer(**settings)
    with pytest.raises(DataError, match="no vocabulary yet"):
        BytePairTokenizer().encode("x")
    with pytest.raises(DataError, match="no texts"):
        BytePairTokenizer().fit([])


def test_jieba_cuts_chinese_words():
    tokenizer = fitted(JiebaTokenizer, ["我来到北京清华大学", "Hello, 世界! 他来到了网易杭研大厦"])
    vocab = tokenizer._fitted().get_vocab()
    assert {"北京", "清华大学", "来到", "hello", "世界", ",", "!", "杭研"} <= set(vocab), (
        "杭研 is not in the dictionary"
    )
    assert tokenizer.encode("来到 清华大学!") == [vocab["来到"], vocab["清华大学"], vocab["!"]]
    assert tokenizer.encode("未知") == [1]


def test_jieba_round_trip():
    tokenizer, other = fitted(JiebaTokenizer), JiebaTokenizer()
    other.from_json(tokenizer.to_json())
    for text in CORPUS:
        assert other.encode(text) == tokenizer.encode(text)
