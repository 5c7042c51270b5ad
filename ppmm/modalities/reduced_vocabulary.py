"""A tokenizer.json with fewer tokens, which splits every text of kept tokens as before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ppmm.errors import ConfigError

__all__ = ["ReducedVocabulary", "reduced_vocabulary", "tokens_of"]

PADDING = 0
"""The id that fills up short texts."""
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "<s>", "</s>", "<mask>")
"""Tokens that never go, whether they are seen or not."""


class ReducedVocabulary(NamedTuple):
    """``text`` is the new tokenizer.json; ``kept`` the old ids in the order of the new ones; ``unknown`` the old id
    that stands for the others, None where none is unknown (byte pairs)."""

    text: str
    kept: list[int]
    unknown: int | None


def reduced_vocabulary(text: str, keep: Iterable[int]) -> ReducedVocabulary:
    """Leave out the tokens that are not among ``keep``; those left are numbered anew, in their order.

    What happens to texts with tokens that went depends on the algorithm:

    * whole words or characters (WordLevel: ``word``, ``character``, ``jieba``): the token becomes [UNK];
    * WordPiece (BERT, ERNIE): shorter kept pieces, or [UNK] where there are none. Longest-match-first gives what it
      gave wherever it had chosen a kept piece, since no longer one has come;
    * byte pairs (BPE): smaller pieces, down to single bytes. A kept token keeps its parts and the merges that make it,
      in their order, so that a text of kept tokens is merged step by step as before.

    Padding, unknown, mask and all special tokens stay. Raises ConfigError for other algorithms.
    """
    tree = json.loads(text)
    model = tree["model"]
    if model["type"] not in ("WordLevel", "WordPiece", "BPE"):
        raise ConfigError(
            f"a tokenizer of type {model['type']} cannot lose tokens: its splits depend on the scores of all of them; "
            "word, character, jieba, byte_pair and WordPiece tokenizers can"
        )
    vocabulary = tokens_of(text)
    names = {index: token for token, index in vocabulary.items()}
    tokens = {names[index] for index in keep if index in names} | _special(tree, names)
    if model["type"] == "BPE":
        tokens |= {token for token in model["vocab"] if len(token) == 1}
        tokens = _with_parts(tokens, _merges(model))
    kept = sorted(vocabulary[token] for token in tokens)
    _renumber(tree, {names[old]: new for new, old in enumerate(kept)})
    marker = model.get("unk_token")
    unknown = None if marker is None or model["type"] == "BPE" else vocabulary[marker]
    return ReducedVocabulary(json.dumps(tree, ensure_ascii=False, indent=2), kept, unknown)


def tokens_of(text: str) -> dict[str, int]:
    """All tokens of a tokenizer.json with their ids, the added ones too. Raises ConfigError for scores without ids."""
    tree = json.loads(text)
    vocabulary = tree["model"].get("vocab")
    if not isinstance(vocabulary, dict):
        raise ConfigError(f"a tokenizer of type {tree['model'].get('type')} has no list of token -> id")
    return {**vocabulary, **{token["content"]: token["id"] for token in tree.get("added_tokens") or []}}


def _special(tree: dict[str, Any], names: dict[int, str]) -> set[str]:
    """Padding, everything before it, and all that is no piece of text."""
    around = (tree.get("post_processor") or {}).get("special_tokens") or {}
    found = {token["content"] for token in tree.get("added_tokens") or []} | set(around) | set(MARKS)
    found |= {str(tree["model"].get("unk_token"))}
    return {token for index, token in names.items() if token in found or index == PADDING}


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs in their order; older files have them as one string."""
    pairs = [pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"]]
    return [(first, second) for first, second in pairs]


def _with_parts(tokens: set[str], merges: Sequence[tuple[str, str]]) -> set[str]:
    """With the parts of every token, and theirs: a pair is learned after its parts, so one pass backwards is enough."""
    found = set(tokens)
    for first, second in reversed(merges):
        if first + second in found:
            found |= {first, second}
    return found


def _renumber(tree: dict[str, Any], numbers: dict[str, int]) -> None:
    """Give a tokenizer.json the ids of ``numbers``, without tokens that it does not name."""
    model = tree["model"]
    if model["type"] == "BPE":
        model["merges"] = [
            [first, second]
            for first, second in _merges(model)
            if first in numbers and second in numbers and first + second in numbers
        ]
    model["vocab"] = {
        token: numbers[token]
        for token in sorted(model["vocab"].keys() & numbers.keys(), key=lambda token: numbers[token])
    }
    for token in tree.get("added_tokens") or []:
        token["id"] = numbers[token["content"]]
    for token, entry in ((tree.get("post_processor") or {}).get("special_tokens") or {}).items():
        entry["ids"] = [numbers[token]]
