"""Fewer tokens for a text field: those that its texts hold, with the same answers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ppmm.compress.context import Compressed, Context
from ppmm.compress.promises import answers, presences
from ppmm.compress.token_tables import token_tables
from ppmm.errors import CompressError, ConfigError
from ppmm.modalities.reduced_vocabulary import ReducedVocabulary, reduced_vocabulary, tokens_of
from ppmm.models.resize import resize
from ppmm.registry import COMPRESSORS
from ppmm.types import Batch, Tokenizer

__all__ = ["VocabularyStep"]

TOLERANCE = 1e-6
CHECKED = 2000
"""Texts on which the tokenizer is compared with the old one."""


@COMPRESSORS.register("vocabulary")
class VocabularyStep:
    """Drops tokens that a split does not hold, from the tokenizer and from the embedding.

    Texts of kept tokens give the same answers, bit for bit but for rounding: that is checked. Special tokens stay. What
    becomes of other texts is told at `ppmm.modalities.reduced_vocabulary`. Teachers must be of the same vocabulary:
    distil first.

    Args:
        field: of kind text.
        keep: ``seen``, the number of tokens in all (the most frequent ones, special ones counted), or a text file with
            one token in a line.
        split: whose texts are read.
        min_count: tokens that come less often go.

    Raises ConfigError for values that make no sense, CompressError where nothing goes or the tokens are used for more.
    """

    def __init__(self, field: str = "text", keep: str | int = "seen", split: str = "train", min_count: int = 1) -> None:
        if min_count < 1:
            raise ConfigError(f"min_count must be at least 1, got {min_count}")
        if isinstance(keep, bool) or (isinstance(keep, int) and keep < 3):
            raise ConfigError(f"keep: {keep} is too small a vocabulary; give at least 3, 'seen', or a file of tokens")
        if isinstance(keep, str) and keep != "seen" and not Path(keep).is_file():
            raise ConfigError(f"keep: no file {keep}; write seen, a number, or a file with one token in a line")
        self.field, self.keep, self.split, self.min_count = field, keep, split, min_count

    def apply(self, model: Any, context: Context) -> Compressed:
        """Cut the vocabulary of ``model`` and of its field; both are left as they were where that fails."""
        tokenizer, sample = context.tokenizer(self.field), dict(context.sample)
        tables = token_tables(model, self.field, sample)
        old, size = tokenizer.to_json(), len(tokenizer)
        texts = [str(value) for value in context.values(self.field, self.split)]
        if not texts:
            raise CompressError(f"data.{self.split} has no text of '{self.field}' to read tokens from")
        ids = [tokenizer.encode(text) for text in texts]
        counts = Counter(token for row in ids for token in row)
        reduced = self._reduced(old, counts)
        if len(reduced.kept) >= size:
            raise CompressError(
                f"nothing goes: {self.split} holds all of the {size:,} tokens of '{self.field}'"
                f"{'' if self.min_count > 1 else '; raise min_count, or keep a number of tokens'}"
            )
        undo, transform = _cut(model, tables, reduced, self.field, size, sample)
        try:
            context.set_vocabulary(self.field, reduced.text)
            lost = _check_tokens(context.tokenizer(self.field), texts, ids, reduced)
        except Exception:
            undo()
            context.set_vocabulary(self.field, old)
            raise
        rest = sum(count for token, count in counts.items() if token not in set(reduced.kept))
        context.say(f"vocabulary: {size:,} -> {len(reduced.kept):,} tokens of {self.field}")
        report = {
            "field": self.field, "tokens": [size, len(reduced.kept)], "seen": len(counts), "texts": len(texts),
            "tables": transform["shapes"], "dropped_share": rest / max(sum(counts.values()), 1),
            "texts_changed": lost,
        }  # fmt: skip
        return Compressed([transform], report)

    def _reduced(self, text: str, counts: Mapping[int, int]) -> ReducedVocabulary:
        frequent = sorted((token for token, count in counts.items() if count >= self.min_count), key=_rank(counts))
        if self.keep == "seen":
            return reduced_vocabulary(text, frequent)
        if isinstance(self.keep, str):
            return reduced_vocabulary(text, _listed(Path(self.keep), tokens_of(text)))
        fixed = len(reduced_vocabulary(text, []).kept)
        if self.keep <= fixed:
            raise CompressError(f"keep: {self.keep} tokens are no more than the {fixed} that must stay")
        least, most = 0, len(frequent)  # byte pairs bring their parts along, so that the number is found by halving
        while least < most:
            middle = (least + most + 1) // 2
            fits = len(reduced_vocabulary(text, frequent[:middle]).kept) <= self.keep
            least, most = (middle, most) if fits else (least, middle - 1)
        return reduced_vocabulary(text, frequent[:least])


def _rank(counts: Mapping[int, int]) -> Any:
    """Most frequent first, then by id."""
    return lambda token: (-counts[token], token)


def _listed(path: Path, vocabulary: Mapping[str, int]) -> list[int]:
    """Ids of the tokens of a file. Raises CompressError for one that the vocabulary does not have."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CompressError(f"keep: {path} cannot be read: {error}") from error
    tokens = {line.removesuffix("\r"): number for number, line in enumerate(lines, start=1) if line.strip("\r")}
    for token, number in tokens.items():
        if token not in vocabulary:
            raise CompressError(f"keep: {path}:{number}: the vocabulary has no token {token!a}")
    return [vocabulary[token] for token in tokens]


def _cut(
    model: Any, tables: Mapping[str, Any], reduced: ReducedVocabulary, field: str, size: int, sample: Batch
) -> tuple[Any, dict[str, Any]]:
    """Take rows from the tables and compare the answers; how to undo it, and the transform. Raises CompressError."""
    for name, layer in tables.items():
        padding = layer._padding_idx
        if padding >= 0 and (padding >= len(reduced.kept) or reduced.kept[padding] != padding):
            raise CompressError(f"field: the padding token {padding} of {name} would get another number")
        if layer.weight.shape[0] < size:
            raise CompressError(f"field: {name} has {layer.weight.shape[0]} rows for {size} tokens")
    cases = presences(sample)
    numbers = np.full(size, -1, dtype=np.int64)
    numbers[reduced.kept] = np.arange(len(reduced.kept))
    other = reduced.kept[0] if reduced.unknown is None else reduced.unknown
    known = np.where(numbers[sample[field].numpy()] < 0, other, sample[field].numpy())
    wanted = answers(model, [{**case, field: paddle.to_tensor(known)} for case in cases])
    undo = resize(model, {name: layer.weight.numpy()[reduced.kept] for name, layer in tables.items()})
    found = answers(model, [{**case, field: paddle.to_tensor(numbers[known])} for case in cases])
    for one, two in zip(found, wanted, strict=True):
        for here, there in zip(one, two, strict=True):
            if here.shape != there.shape or not np.allclose(here, there, rtol=TOLERANCE, atol=TOLERANCE):
                undo()
                raise CompressError(f"field: without its other tokens the model answers otherwise to '{field}'")
    shapes = {name: list(layer.weight.shape) for name, layer in tables.items()}
    args = {"field": field, "before": size, "tables": {name: shape[0] for name, shape in shapes.items()}}
    return undo, {"name": "vocabulary", "args": args, "shapes": shapes}


def _check_tokens(tokenizer: Tokenizer, texts: list[str], ids: list[list[int]], reduced: ReducedVocabulary) -> int:
    """How many of the texts have lost tokens. Raises CompressError where another one is split otherwise."""
    new = {old: number for number, old in enumerate(reduced.kept)}
    whole = [number for number, row in enumerate(ids) if all(token in new for token in row)]
    for number in whole[:: max(1, len(whole) // CHECKED)]:
        if tokenizer.encode(texts[number]) != [new[token] for token in ids[number]]:
            raise CompressError(
                f"the smaller tokenizer splits {ascii(texts[number])[:60]} otherwise, though all its tokens are kept"
            )
    return len(texts) - len(whole)
