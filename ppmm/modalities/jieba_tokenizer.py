"""Words of Chinese text by jieba, learned from a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import normalizers, pre_tokenizers

from ppmm.modalities.tokenizer import VocabularyTokenizer, unicode_form
from ppmm.modalities.words import chinese_words
from ppmm.registry import TOKENIZERS

__all__ = ["JiebaTokenizer"]


@TOKENIZERS.register("jieba")
class JiebaTokenizer(VocabularyTokenizer):
    """Chinese words as jieba cuts them; other words and punctuation marks stand alone as in `WordTokenizer`.

    tokenizer.json holds the vocabulary and the rules for text whose words are separated by spaces; jieba, which puts
    the spaces there, is the same code in training and in serving. Arguments as `VocabularyTokenizer`.
    """

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the vocabulary. Raises DataError when the texts hold no piece that is frequent enough."""
        super().fit([self._spaced(text) for text in texts])

    def encode(self, text: str) -> list[int]:
        """Ids of the words of ``text``. Raises DataError before `fit` or `from_json`."""
        return super().encode(self._spaced(text))

    def _spaced(self, text: str) -> str:
        form = unicode_form(self.normalization)
        return " ".join(chinese_words(form[0].normalize_str(text) if form else text))

    def _rules(self) -> tuple[Any, Any]:
        clean = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=self.lowercase
        )
        return normalizers.Sequence([*unicode_form(self.normalization), clean]), pre_tokenizers.BertPreTokenizer()
