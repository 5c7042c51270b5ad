"""Random changes of texts, after EDA (Wei and Zou 2019, Easy Data Augmentation), and of their tokens.

As in the paper, a share a of a text of l words means n = max(1, int(a l)) changes; the paper advises a = 0.1, and 0.05
below 500 texts. Words are those of `split_words`: Chinese ones by jieba; punctuation and white space stay in place.
"""

from __future__ import annotations

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.augmenting import check_probability
from ppmm.modalities.synonyms import read_synonyms
from ppmm.modalities.words import is_chinese, split_words
from ppmm.registry import AUGMENTATIONS

__all__ = ["MASKED", "TextDrop", "TextInsert", "TextSwap", "TextSynonyms", "TokenMask"]

MASKED = -1
"""What `TokenMask` writes; the text field puts its tokenizer's mask token there."""


def joined(words: list[str], gaps: list[str]) -> str:
    """The inverse of `split_words`."""
    return "".join(piece for pair in zip(gaps, [*words, ""], strict=True) for piece in pair)


def changes(share: float, words: list[str]) -> int:
    """n = max(1, int(share x words)); 0 for a share of 0."""
    return max(1, int(share * len(words))) if share > 0 and words else 0


@AUGMENTATIONS.register("text_swap")
class TextSwap:
    """EDA's random swap: n times two words change places. ``share``: a."""

    kind = "text"

    def __init__(self, share: float = 0.1) -> None:
        self.share = check_probability("share", share)

    def __call__(self, array: str, rng: np.random.Generator) -> str:
        """Text -> text."""
        words, gaps = split_words(array)
        if len(words) < 2:
            return array
        for _ in range(changes(self.share, words)):
            one, other = rng.choice(len(words), size=2, replace=False)
            words[one], words[other] = words[other], words[one]
        return joined(words, gaps)


@AUGMENTATIONS.register("text_drop")
class TextDrop:
    """EDA's random deletion: each word goes with ``probability``; one that is drawn stays where all would."""

    kind = "text"

    def __init__(self, probability: float = 0.1) -> None:
        self.probability = check_probability("probability", probability)

    def __call__(self, array: str, rng: np.random.Generator) -> str:
        """Text -> text."""
        words, gaps = split_words(array)
        if not words:
            return array
        kept = rng.random(len(words)) >= self.probability
        if not kept.any():
            kept[int(rng.integers(len(words)))] = True
        pieces = []
        for word, gap, keep in zip(words, gaps, kept, strict=False):
            # the space before a word goes with it, punctuation does not
            pieces.append(gap + word if keep else gap.rstrip() if gap.strip() else "")
        return ("".join(pieces) + gaps[-1]).strip()


@AUGMENTATIONS.register("text_synonyms")
class TextSynonyms:
    """EDA's synonym replacement: n words that are in the table become one of their synonyms.

    Args:
        path: table of synonyms, see `read_synonyms`; words that are not in it (such as stop words) never change.
        share: a.
    """

    kind = "text"

    def __init__(self, path: str, share: float = 0.1) -> None:
        self.path = path
        self.share = check_probability("share", share)

    def __call__(self, array: str, rng: np.random.Generator) -> str:
        """Text -> text. Raises DataError when the table cannot be read."""
        table = read_synonyms(self.path)
        words, gaps = split_words(array)
        known = [place for place, word in enumerate(words) if word.lower() in table]
        for place in rng.permutation(known)[: changes(self.share, words)] if known else ():
            options = table[words[place].lower()]
            words[place] = options[int(rng.integers(len(options)))]
        return joined(words, gaps)


@AUGMENTATIONS.register("text_insert")
class TextInsert:
    """EDA's random insertion: n times a synonym of a word of the text is put at a random place. Arguments as
    `TextSynonyms`."""

    kind = "text"

    def __init__(self, path: str, share: float = 0.1) -> None:
        self.path = path
        self.share = check_probability("share", share)

    def __call__(self, array: str, rng: np.random.Generator) -> str:
        """Text -> text. Raises DataError when the table cannot be read."""
        table = read_synonyms(self.path)
        words, gaps = split_words(array)
        known = [word for word in words if word.lower() in table]
        for _ in range(changes(self.share, words) if known else 0):
            options = table[known[int(rng.integers(len(known)))].lower()]
            place = int(rng.integers(len(words) + 1))
            new = options[int(rng.integers(len(options)))]
            words.insert(place, new)
            behind_all = place == len(words) - 1  # but before the closing punctuation
            gaps.insert(place if behind_all else place + 1, "" if is_chinese(new) else " ")
        return joined(words, gaps)


@AUGMENTATIONS.register("token_mask")
class TokenMask:
    """Each token is hidden with ``probability``: word dropout (Bowman et al. 2016, section 3.1), with [MASK] where the
    vocabulary has it and [UNK] elsewhere. At least one stays."""

    kind = "tokens"

    def __init__(self, probability: float = 0.1) -> None:
        if not 0.0 <= probability < 1.0:
            raise ConfigError(f"probability: {probability} must be from 0 to below 1")
        self.probability = probability

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int64 [L] -> int64 [L], `MASKED` where hidden."""
        hidden = rng.random(len(array)) < self.probability
        if hidden.all():
            hidden[int(rng.integers(len(array)))] = False
        return np.where(hidden, MASKED, array)
