"""Text as a field: tokenise, cut, pad."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities.augmenting import apply_steps, take_steps
from ppmm.modalities.field import FieldBase, pad_ragged
from ppmm.modalities.text_augment import MASKED
from ppmm.registry import FIELDS
from ppmm.types import Augmentation, FieldSpec, Tokenizer

__all__ = ["TextField"]

MAX_CHARACTERS = 100_000


@FIELDS.register("text")
class TextField(FieldBase):
    """Text -> ids int64 [L], L at most ``max_length``; padding has id 0.

    Args:
        tokenizer: learns its vocabulary from the training texts in `fit`.
        max_length: longer texts lose their end, in tokens; a closing token of the tokenizer ([SEP]) stays.
        tokenizer_file: name under which the vocabulary is saved; two text fields need two names.
        augment: applied in training to the text.
        augment_tokens: applied in training to the ids int64 [L].
    """

    kind = "text"

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 64,
        tokenizer_file: str = "tokenizer.json",
        augment: list[Augmentation] | None = None,
        augment_tokens: list[Augmentation] | None = None,
    ) -> None:
        if max_length < 1:
            raise ConfigError(f"max_length: {max_length} must be at least 1")
        if Path(tokenizer_file).name != tokenizer_file or not tokenizer_file.endswith(".json"):
            raise ConfigError(f"tokenizer_file: '{tokenizer_file}' must be a file name that ends in .json, no path")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.tokenizer_file = tokenizer_file
        self.augment = take_steps(augment, "text", "augment")
        self.augment_tokens = take_steps(augment_tokens, "tokens", "augment_tokens")

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Tokenise one text; augmented with ``rng``.

        Returns:
            int64 [L], 1 <= L <= ``max_length``.

        Raises:
            DataError: not a string, blank, too long, or the tokenizer has no vocabulary yet.
        """
        ids = self.tokenizer.encode(apply_steps(self.augment, _check_text(value), rng))
        if not ids:
            raise DataError(f"text {_excerpt(value)} holds no token")
        if len(ids) > self.max_length:
            end = self.tokenizer.end_id
            ids = ids[: self.max_length] if end is None else [*ids[: self.max_length - 1], end]
        tokens = apply_steps(self.augment_tokens, np.asarray(ids, dtype=np.int64), rng)
        return np.where(tokens == MASKED, self.tokenizer.mask_id, tokens) if (tokens == MASKED).any() else tokens

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, L] int64, ``name_mask`` [B, L] bool, ``has_name`` [B] bool."""
        return pad_ragged(name, arrays, (), "int64")

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        return {
            name: FieldSpec((None, None), "int64"),
            f"{name}_mask": FieldSpec((None, None), "bool"),
            f"has_{name}": FieldSpec((None,), "bool"),
        }

    def provides(self) -> dict[str, int]:
        """``vocab_size`` for a text encoder. Raises DataError before the vocabulary is known."""
        return {"vocab_size": len(self.tokenizer)}

    def fit(self, values: Sequence[Any]) -> None:
        """Learn the vocabulary from the training texts. Raises DataError."""
        self.tokenizer.fit([_check_text(value) for value in values])

    def save_assets(self, folder: Path) -> list[str]:
        """Write the vocabulary; returns ``[tokenizer_file]``."""
        (folder / self.tokenizer_file).write_text(self.tokenizer.to_json(), encoding="utf-8")
        return [self.tokenizer_file]

    def load_assets(self, folder: Path) -> None:
        """Read the vocabulary. Raises CheckpointError."""
        path = folder / self.tokenizer_file
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        try:
            self.tokenizer.from_json(content)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error


def _check_text(value: Any) -> str:
    """Raises DataError for what is not a text."""
    if not isinstance(value, str):
        raise DataError(f"text must be a string, not {type(value).__name__} {_excerpt(value)}")
    if len(value) > MAX_CHARACTERS:
        raise DataError(f"text has {len(value):,} characters; at most {MAX_CHARACTERS:,}")
    if not value.strip():
        raise DataError("text is empty or blank; leave the field out instead where it is missing")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"text {_excerpt(value)} is not valid Unicode: {error.reason}") from error
    return value


def _excerpt(value: Any) -> str:
    """The beginning of a value, escaped to ASCII, for messages."""
    shown = ascii(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
