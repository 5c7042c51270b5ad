"""EDA and token masking by hand."""

from collections import Counter

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.text import TextField
from ppmm.modalities.text_augment import TextDrop, TextInsert, TextSwap, TextSynonyms, TokenMask
from ppmm.modalities.tokenizer import WordTokenizer
from ppmm.modalities.words import split_words

TEXT = "The quick, brown fox -- don't ask -- jumped over it!"
WORDS = ["The", "quick", "brown", "fox", "don't", "ask", "jumped", "over", "it"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "synonyms.tsv"
    path.write_text("# words that mean the same\nquick\tfast\trapid\n\njumped\tleapt\n喜欢\t喜爱\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "text", [TEXT, "我喜欢北京大学 in 2024年!", "  ", "...", "a", " tabs\tand\nlines ", "日本語のテスト🙂"]
)
def test_words_and_gaps_make_the_text(text):
    words, gaps = split_words(text)
    assert len(gaps) == len(words) + 1
    assert "".join(a + b for a, b in zip(gaps, [*words, ""], strict=True)) == text


def test_words():
    assert split_words(TEXT)[0] == WORDS
    assert split_words("我喜欢北京大学。in 2024")[0] == ["我", "喜欢", "北京大学", "in", "2024"]


def test_swap_changes_places_of_n_pairs_and_leaves_punctuation():
    rng = np.random.default_rng(0)
    for _ in range(50):
        found = TextSwap(0.1)(TEXT, rng)  # n = max(1, int(0.1 x 9)) = 1
        words, gaps = split_words(found)
        assert Counter(words) == Counter(WORDS) and gaps == split_words(TEXT)[1]
        assert sum(a != b for a, b in zip(words, WORDS, strict=True)) == 2
    moved = [sum(a != b for a, b in zip(split_words(TextSwap(0.4)(TEXT, rng))[0], WORDS)) for _ in range(50)]  # noqa: B905
    assert max(moved) == 6, "int(0.4 x 9) = 3 swaps move up to 6 words"
    assert TextSwap(0.0)(TEXT, rng) == TEXT and TextSwap(1.0)("one", rng) == "one"


def test_drop_has_its_probability_and_keeps_one():
    rng = np.random.default_rng(0)
    left = [len(split_words(TextDrop(0.3)(TEXT, rng))[0]) for _ in range(600)]
    assert abs(np.mean(left) - 9 * 0.7) < 0.15
    assert {TextDrop(1.0)("a b c", rng) for _ in range(60)} == {"a", "b", "c"}
    assert TextDrop(1.0)("?!", rng) == "?!" and TextDrop(0.0)(TEXT, rng) == TEXT


def test_synonyms_come_from_the_table(table):
    rng = np.random.default_rng(0)
    seen = {TextSynonyms(table, 0.1)(TEXT, rng) for _ in range(100)}
    assert seen == {TEXT.replace("quick", "fast"), TEXT.replace("quick", "rapid"), TEXT.replace("jumped", "leapt")}
    assert TextSynonyms(table, 1.0)("Jumped 我喜欢它", rng) == "leapt 我喜爱它"
    assert TextSynonyms(table)("nothing known", rng) == "nothing known"


def test_insertion_adds_n_synonyms(table):
    rng = np.random.default_rng(0)
    seen = Counter()
    for _ in range(200):
        words = split_words(TextInsert(table, 0.25)(TEXT, rng))[0]
        assert len(words) == 11 and not Counter(WORDS) - Counter(words)
        seen.update(Counter(words) - Counter(WORDS))
    assert set(seen) == {"fast", "rapid", "leapt"}
    assert {TextInsert(table)("jumped!", rng) for _ in range(30)} == {"leapt jumped!", "jumped leapt!"}


@pytest.mark.parametrize(
    ("content", "message"), [(b"one\n", "line 1"), (b"\xff\t\xfe", "not UTF-8"), (b"# x\n", "no words"), (b"", "empty")]
)
def test_damaged_tables(tmp_path, content, message):
    path = tmp_path / "t.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        TextSynonyms(str(path))("x", np.random.default_rng(0))


def test_missing_table():
    with pytest.raises(DataError, match="does not exist"):
        TextInsert("no/such.tsv")("x", np.random.default_rng(0))


def test_token_mask_hides_with_its_probability_and_never_all():
    rng = np.random.default_rng(0)
    ids = np.arange(2, 22)
    hidden = [(TokenMask(0.25)(ids, rng) == -1).sum() for _ in range(500)]
    assert abs(np.mean(hidden) - 5) < 0.3
    assert all((TokenMask(0.99)(ids[:2], rng) != -1).any() for _ in range(50))


def test_the_field_augments_text_then_tokens_and_puts_the_mask_token():
    def shout(text, rng):
        return text + " fox"

    tokenizer = WordTokenizer()
    field = TextField(tokenizer, augment=[shout], augment_tokens=[TokenMask(0.5)])
    field.fit(["the fox"])
    plain = field("the the")
    assert plain.tolist() == [3, 3]
    seen = {tuple(field("the the", np.random.default_rng(seed))) for seed in range(40)}
    assert seen <= {(a, b, c) for a in (3, 1) for b in (3, 1) for c in (2, 1)} and len(seen) > 4
    tokenizer.fit(["[MASK] the fox"])  # split into three tokens: no mask token of its own
    assert tokenizer.mask_id == 1


@pytest.mark.parametrize(
    "make",
    [lambda: TextSwap(1.1), lambda: TextDrop(-0.1), lambda: TokenMask(1.0), lambda: TextSynonyms("x", 2.0),
     lambda: TextField(WordTokenizer(), augment=[TokenMask()]),
     lambda: TextField(WordTokenizer(), augment_tokens=[TextSwap()])],
)  # fmt: skip
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()
