"""Word and character tokenisers learned from a corpus, kept as the `tokenizers` library's own tokenizer.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.registry import TOKENIZERS

__all__ = [
    "MASK",
    "PAD",
    "UNKNOWN",
    "CharacterTokenizer",
    "FittedTokenizer",
    "Normalization",
    "VocabularyTokenizer",
    "WordTokenizer",
    "unicode_form",
]

PAD, UNKNOWN, MASK = "[PAD]", "[UNK]", "[MASK]"
Normalization = Literal["NFC", "NFD", "NFKC", "NFKD", "none"]
CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}]"


class FittedTokenizer:
    """What every tokeniser does once there is a `tokenizers.Tokenizer`; subclasses make one and read one."""

    end_id: int | None = None
    """Id of the token that closes every text, kept when a text is cut; None without."""

    def __init__(self) -> None:
        self._tokenizer: Tokenizer | None = None

    @property
    def mask_id(self) -> int:
        """Id that hides a token in training: that of [MASK] where the vocabulary has it, else of [UNK]."""
        found = self._fitted().token_to_id(MASK)
        return 1 if found is None else int(found)

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``. Raises DataError before `fit` or `from_json`."""
        return list(self._fitted().encode(text, add_special_tokens=False).ids)

    def __len__(self) -> int:
        """Size of the vocabulary. Raises DataError before `fit` or `from_json`."""
        return int(self._fitted().get_vocab_size())

    def to_json(self) -> str:
        """The content of a tokenizer.json, which ``tokenizers.Tokenizer.from_str`` reads too."""
        return str(self._fitted().to_str(pretty=True))

    def _fitted(self) -> Tokenizer:
        if self._tokenizer is None:
            raise DataError("the tokenizer has no vocabulary yet: fit it on the training texts or load tokenizer.json")
        return self._tokenizer


def unicode_form(form: Normalization) -> list[Any]:
    """The normaliser of a Unicode form (Unicode annex 15), as a list of one or none."""
    known = {"NFC": normalizers.NFC, "NFD": normalizers.NFD, "NFKC": normalizers.NFKC, "NFKD": normalizers.NFKD}
    return [known[form]()] if form in known else []


class VocabularyTokenizer(FittedTokenizer):
    """A tokeniser with one id per known piece of text: [PAD] = 0, [UNK] = 1, then the most frequent first.

    Pieces of equal count are in the order of their code points, so that the same corpus gives the same ids.

    Args:
        min_count: rarer pieces become [UNK].
        max_vocab: size of the vocabulary at most, with [PAD] and [UNK].
        normalization: Unicode form that texts are brought to first; NFKC makes full-width letters ordinary ones.
        lowercase: take upper and lower case for the same.
    """

    def __init__(
        self,
        min_count: int = 1,
        max_vocab: int = 50_000,
        normalization: Normalization = "NFKC",
        lowercase: bool = True,
    ) -> None:
        super().__init__()
        if min_count < 1:
            raise ConfigError(f"min_count: {min_count} must be at least 1")
        if max_vocab < 3:
            raise ConfigError(f"max_vocab: {max_vocab} must be at least 3 ([PAD], [UNK] and one more)")
        self.min_count = min_count
        self.max_vocab = max_vocab
        self.normalization: Normalization = normalization
        self.lowercase = lowercase

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the vocabulary. Raises DataError when the texts hold no piece that is frequent enough."""
        rules = self._build({PAD: 0, UNKNOWN: 1})
        counts: Counter[str] = Counter()
        for text in texts:
            normal = rules.normalizer.normalize_str(text)
            counts.update(piece for piece, _ in rules.pre_tokenizer.pre_tokenize_str(normal))
        for special in (PAD, UNKNOWN):
            counts.pop(special, None)
        frequent = [piece for piece, count in counts.items() if count >= self.min_count]
        if not frequent:
            raise DataError(f"{len(texts)} texts hold no token that occurs {self.min_count} times (min_count)")
        frequent.sort(key=lambda piece: (-counts[piece], piece))
        pieces = [PAD, UNKNOWN, *frequent[: self.max_vocab - 2]]
        self._tokenizer = self._build({piece: index for index, piece in enumerate(pieces)})

    def from_json(self, text: str) -> None:
        """Take over what `to_json` gave. Raises CheckpointError when it is damaged or of another tokeniser."""
        vocab = _read_vocab(text)
        expected = self._build(vocab)
        try:
            found = Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"tokenizer.json is damaged: {error}") from error
        if json.loads(found.to_str()) != json.loads(expected.to_str()):
            raise CheckpointError(
                f"tokenizer.json does not split text as {type(self).__name__} does; name the tokenizer that wrote it"
            )
        self._tokenizer = expected

    def _build(self, vocab: dict[str, int]) -> Tokenizer:
        tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=UNKNOWN))
        tokenizer.normalizer, tokenizer.pre_tokenizer = self._rules()
        return tokenizer

    def _rules(self) -> tuple[Any, Any]:
        """Normaliser and pre-tokeniser of the subclass."""
        raise NotImplementedError


@TOKENIZERS.register("word")
class WordTokenizer(VocabularyTokenizer):
    """Words, in lower case unless told otherwise; punctuation marks, Chinese characters and kana stand alone."""

    def _rules(self) -> tuple[Any, Any]:
        clean = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=self.lowercase
        )
        split = pre_tokenizers.Sequence(
            [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(CJK), behavior="isolated")]
        )
        return normalizers.Sequence([*unicode_form(self.normalization), clean]), split


@TOKENIZERS.register("character")
class CharacterTokenizer(VocabularyTokenizer):
    """Characters, in lower case unless told otherwise; a run of white space is one space."""

    def _rules(self) -> tuple[Any, Any]:
        clean = [
            *unicode_form(self.normalization),
            *([normalizers.Lowercase()] if self.lowercase else []),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
        return normalizers.Sequence(clean), pre_tokenizers.Split(Regex(r"(?m)."), behavior="isolated")


def _read_vocab(text: str) -> dict[str, int]:
    """The vocabulary inside a tokenizer.json. Raises CheckpointError."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"tokenizer.json is not JSON: {error}") from error
    model = tree.get("model") if isinstance(tree, dict) else None
    if not isinstance(model, dict) or model.get("type") != "WordLevel":
        kind = model.get("type") if isinstance(model, dict) else None
        raise CheckpointError(f"tokenizer.json holds a model of type {kind!r}; expected 'WordLevel'")
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not all(type(index) is int for index in vocab.values()):
        raise CheckpointError("tokenizer.json holds no vocabulary of token -> id")
    if sorted(vocab.values()) != list(range(len(vocab))) or vocab.get(PAD) != 0 or vocab.get(UNKNOWN) != 1:
        raise CheckpointError(f"tokenizer.json must number its tokens 0, 1, 2 ... with {PAD} = 0 and {UNKNOWN} = 1")
    return vocab
