"""Texts -> words, Chinese ones by jieba."""

from __future__ import annotations

import functools
import re
from typing import Any

__all__ = ["chinese_words", "is_chinese", "split_words"]

HAN = "\u3400-\u9fff\uf900-\ufaff"
OTHER = rf"[^\W{HAN}]+"
PIECE = re.compile(rf"[{HAN}]+|{OTHER}(?:['’-]{OTHER})*")


def split_words(text: str) -> tuple[list[str], list[str]]:
    """Words, and what stands around them.

    Returns:
        (words, gaps): ``gaps[0] + words[0] + gaps[1] + ... + words[-1] + gaps[-1]`` is the text. Gaps hold white
        space and punctuation; runs of Chinese characters are cut by jieba.
    """
    words: list[str] = []
    gaps: list[str] = []
    end = 0
    for found in PIECE.finditer(text):
        pieces = chinese_words(found.group()) if is_chinese(found.group()) else [found.group()]
        gaps.extend([text[end : found.start()], *[""] * (len(pieces) - 1)])
        words.extend(pieces)
        end = found.end()
    return words, [*gaps, text[end:]]


def is_chinese(word: str) -> bool:
    """Whether a word of `split_words` is of Chinese characters."""
    return "\u3400" <= word[0] <= "\u9fff" or "\uf900" <= word[0] <= "\ufaff"


def chinese_words(text: str) -> list[str]:
    """The words of a text by jieba's dictionary and its model for unknown words; nothing of the text is lost."""
    return list(_jieba().lcut(text))


@functools.lru_cache(maxsize=1)
def _jieba() -> Any:
    """A segmenter with the dictionary read from the package, not from a cache file in a folder that others share."""
    import jieba

    segmenter = jieba.Tokenizer()
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter
