"""Pairs of texts that say nearly the same, by MinHash LSH, confirmed by their exact Jaccard similarity."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from ppmm.errors import DataError

__all__ = ["fold_text", "jaccard", "near_texts", "shingles"]

SHINGLE = 3
PERMUTATIONS = 64


def fold_text(text: str) -> str:
    """Letters and digits in one form and case, single spaces: texts that are equal so are exact duplicates."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(letter if letter.isalnum() else " " for letter in folded)
    return " ".join(kept.split()) or text.strip()


def shingles(folded: str) -> frozenset[str]:
    """Its pieces of three letters; a shorter text is one piece."""
    count = max(1, len(folded) - SHINGLE + 1)
    return frozenset(folded[start : start + SHINGLE] for start in range(count))


def jaccard(one: frozenset[str], two: frozenset[str]) -> float:
    """Shared pieces by all pieces."""
    return len(one & two) / len(one | two)


def near_texts(folded: Sequence[str], similarity: float, seed: int = 1) -> Iterator[tuple[int, int, float]]:
    """(i, j, similarity) with i < j for different texts whose Jaccard similarity is at least ``similarity``.

    Broder 1997; the bands of the index are chosen for few misses, the exact similarity removes false hits. Texts that
    differ in a number (flat 3, flat 4) are not near.

    Args:
        folded: texts as `fold_text` gives them, all different.
        similarity: 0..1.
        seed: of the permutations.
    """
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise DataError("near duplicates of texts need datasketch: pip install 'ppmm[curate]'") from error
    index = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    pieces = [shingles(text) for text in folded]
    numbers = [[word for word in text.split() if any(letter.isdigit() for letter in word)] for text in folded]
    encoded = ([piece.encode("utf-8", "surrogatepass") for piece in sorted(text)] for text in pieces)
    for j, hashed in enumerate(MinHash.generator(encoded, num_perm=PERMUTATIONS, seed=seed)):
        for i in sorted(index.query(hashed)):
            value = jaccard(pieces[i], pieces[j])
            if value >= similarity and numbers[i] == numbers[j]:
                yield i, j, value
        index.insert(j, hashed)
