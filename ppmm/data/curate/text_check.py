"""One text, looked at: length, character set, language."""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

import numpy as np

from ppmm.data.curate.limits import Limits
from ppmm.data.curate.measured import Measured
from ppmm.errors import DataError

__all__ = ["count_words", "has_mojibake", "language_of", "measure_text"]

MIN_LETTERS = 20
"""Letters below which the language of a Latin text is not judged: a few words occur in several languages."""
SURE = 0.8
"""Probability from which another language is reported."""
SCRIPTS = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "THAI": "th", "HEBREW": "he", "GREEK": "el",
    "ARMENIAN": "hy", "GEORGIAN": "ka", "TAMIL": "ta", "BENGALI": "bn",
}  # fmt: skip
"""Scripts that (nearly) one language uses: the first word of a letter's Unicode name -> its code."""


def measure_text(value: Any, limits: Limits) -> Measured:
    """Facts (characters, words) and problems of a text; a number counts as its digits.

    Of a list (several captions of a picture) each text is looked at; the facts are their means.
    """
    measured = Measured()
    if isinstance(value, list | tuple):
        parts = [measure_text(text, limits) for text in value]
        for name in parts[0].facts if parts else ():
            measured.facts[name] = sum(part.facts[name] for part in parts) / len(parts)
        for number, part in enumerate(parts, 1):
            measured.problems.extend((kind, f"text {number}: {detail}") for kind, detail in part.problems)
        return measured
    text = value if isinstance(value, str) else str(value)
    measured.facts.update(characters=len(text), words=count_words(text))
    if not any(character.isalnum() for character in text):
        return measured.problem("empty_text", f"no letter or digit in {text[:40]!r}")
    if len(text) < limits.min_chars:
        measured.problem("too_short", f"{len(text)} characters; at least {limits.min_chars}")
    if len(text) > limits.max_chars:
        measured.problem("too_long", f"{len(text):,} characters; at most {limits.max_chars:,}")
    if has_mojibake(text):
        measured.problem("mojibake", f"decoded with the wrong character set: {text[:60]!r}")
    elif limits.languages:
        found = language_of(text, limits.languages)
        if found is not None and found not in limits.languages:
            measured.problem("wrong_language", f"looks like '{found}', not {'/'.join(limits.languages)}: {text[:60]!r}")
    return measured


def count_words(text: str) -> int:
    """Words between spaces; each Chinese or Japanese character is one."""
    spaced = "".join(f" {letter} " if _is_ideograph(letter) else letter for letter in text)
    return len(spaced.split())


def has_mojibake(text: str) -> bool:
    """Replacement or control characters, or what ftfy recognises as UTF-8 read as Latin-1 and the like."""
    if "\ufffd" in text or any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in text):
        return True
    if text.isascii():
        return False
    try:
        from ftfy.badness import is_bad
    except ImportError as error:
        raise DataError("finding mojibake needs ftfy: pip install 'ppmm[curate]'") from error
    return bool(is_bad(text))


def language_of(text: str, expected: tuple[str, ...] = ()) -> str | None:
    """ISO 639-1 code, None where the text is too short or the guess too weak to accuse it.

    A script of its own settles the matter; otherwise py3langid (Lui and Baldwin 2012) judges texts of at least
    `MIN_LETTERS` letters.
    """
    letters = [letter for letter in text if letter.isalpha()]
    if not letters:
        return None
    scripts = [unicodedata.name(letter, "?").split(" ")[0].split("-")[0] for letter in letters]
    for script, code in SCRIPTS.items():
        share = scripts.count(script) / len(scripts)
        if share > (0.05 if code == "ja" else 0.5):
            # Latin texts with a foreign name are not of that script; Japanese mixes Han with kana.
            return "ja" if code == "zh" and "ja" in expected and "zh" not in expected else code
    if len(letters) < MIN_LETTERS:
        return _short_script(scripts, expected)
    code, probability = _guess(text)
    return code if probability >= SURE else None


def _short_script(scripts: list[str], expected: tuple[str, ...]) -> str | None:
    """For short texts: a Latin text where only languages with a script of their own are expected is foreign."""
    own = set(SCRIPTS.values())
    if expected and set(expected) <= own and scripts.count("LATIN") == len(scripts) and len(scripts) >= 4:
        return "latin"
    return None


@functools.lru_cache(maxsize=4096)
def _guess(text: str) -> tuple[str, float]:
    try:
        import py3langid
    except ImportError as error:
        raise DataError("--language needs py3langid: pip install 'ppmm[curate]'") from error
    ranked = py3langid.rank(text)
    scores = np.array([score for _, score in ranked], dtype=np.float64)
    return str(ranked[0][0]), float(1.0 / np.exp(scores - scores[0]).sum())


def _is_ideograph(letter: str) -> bool:
    return "\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff"
