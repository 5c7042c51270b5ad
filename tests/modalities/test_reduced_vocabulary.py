"""Fewer tokens, same splits: every kind of tokenizer, against the old one on texts of kept tokens."""

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ppmm.errors import ConfigError
from ppmm.modalities.byte_pair import BytePairTokenizer
from ppmm.modalities.jieba_tokenizer import JiebaTokenizer
from ppmm.modalities.pretrained_tokenizer import PretrainedTokenizer
from ppmm.modalities.reduced_vocabulary import reduced_vocabulary, tokens_of
from ppmm.modalities.tokenizer import CharacterTokenizer, WordTokenizer

CORPUS = ["the red cube is left of the blue ball", "a green cube", "the ball is red", "zwei Würfel", "红色的 方块"]
SEEN = ["the red cube", "the ball is red", "红色的"]


def fitted(kind):
    tokenizer = kind(vocab_size=320, min_count=1) if kind is BytePairTokenizer else kind()
    tokenizer.fit(CORPUS)
    return tokenizer


def reduced_of(tokenizer, texts):
    old = tokenizer.to_json()
    found = reduced_vocabulary(old, {token for text in texts for token in tokenizer.encode(text)})
    new = type(tokenizer)()
    new.from_json(found.text)
    return new, found


@pytest.mark.parametrize("kind", [WordTokenizer, CharacterTokenizer, JiebaTokenizer, BytePairTokenizer])
def test_texts_of_kept_tokens_are_split_as_before(kind):
    tokenizer = fitted(kind)
    new, found = reduced_of(tokenizer, SEEN)
    assert len(new) == len(found.kept) < len(tokenizer) and found.kept == sorted(found.kept)
    for text in [*SEEN, "red the cube ball", "ball is the red the"]:
        ids = tokenizer.encode(text)
        if set(ids) <= set(found.kept):
            assert new.encode(text) == [found.kept.index(token) for token in ids]
    for text in SEEN:
        assert set(tokenizer.encode(text)) <= set(found.kept)


def test_words_that_went_are_unknown_and_the_numbers_are_those_by_hand():
    tokenizer = WordTokenizer()
    tokenizer.fit(["a a a b b c"])  # [PAD] 0 [UNK] 1 a 2 b 3 c 4
    found = reduced_vocabulary(tokenizer.to_json(), [4, 2])
    assert (found.kept, found.unknown) == ([0, 1, 2, 4], 1)
    assert tokens_of(found.text) == {"[PAD]": 0, "[UNK]": 1, "a": 2, "c": 3}
    new = WordTokenizer()
    new.from_json(found.text)
    assert new.encode("a b c d") == [2, 1, 3, 1]


def test_a_byte_pair_keeps_its_parts_and_other_words_are_spelled():
    tree = Tokenizer(models.BPE({"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3, "c": 4, "ab": 5, "abc": 6, "bc": 7, "ca": 8},
                                [("a", "b"), ("ab", "c"), ("b", "c"), ("c", "a")]))  # fmt: skip
    found = reduced_vocabulary(tree.to_str(), [6])
    assert found.kept == [0, 1, 2, 3, 4, 5, 6] and found.unknown is None
    assert json.loads(found.text)["model"]["merges"] == [["a", "b"], ["ab", "c"]]
    new = Tokenizer.from_str(found.text)
    assert new.encode("abc").tokens == tree.encode("abc").tokens == ["abc"]
    assert tree.encode("cab").tokens == ["c", "ab"] and new.encode("cab").tokens == ["c", "ab"]
    assert tree.encode("bca").tokens == ["bc", "a"] and new.encode("bca").tokens == ["b", "c", "a"]
    old = json.loads(tree.to_str())
    old["model"]["merges"] = ["a b", "ab c", "b c", "c a"]  # as older versions wrote them
    assert reduced_vocabulary(json.dumps(old), [6]).text == found.text


def word_piece():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##ed", "playing", "walk", "the", "x"]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def test_word_pieces_fall_back_to_shorter_ones_and_special_tokens_stay():
    old = PretrainedTokenizer()
    old.from_json(word_piece().to_str())
    new, found = reduced_of(old, ["walked playing"])  # pieces 9 7 8
    assert found.kept == [0, 1, 2, 3, 4, 7, 8, 9] and found.unknown == 1
    assert old.encode("walked playing") == [2, 9, 7, 8, 3] and new.encode("walked playing") == [2, 7, 5, 6, 3]
    assert new.encode("the walk") == [2, 1, 7, 3]  # "the" went
    assert (new.mask_id, new.end_id) == (4, 3)
    without, kept = reduced_of(old, ["play walking"])
    assert old.encode("playing") == [2, 8, 3]
    assert [kept.kept[token] for token in without.encode("playing")] == [2, 5, 6, 3]  # play ##ing


def test_other_algorithms_are_refused_by_name():
    tree = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    with pytest.raises(ConfigError, match="Unigram"):
        reduced_vocabulary(tree.to_str(), [1])
    with pytest.raises(ConfigError, match="Unigram"):
        tokens_of(tree.to_str())
