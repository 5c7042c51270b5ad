"""Keys as a target: which rows belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.registry import TARGETS

__all__ = ["Key"]

NO_KEY = -1
"""Of a row that has none: objectives and metrics take it for equal to nothing, not even to another such row."""


@TARGETS.register("key")
class Key:
    """Any value -> a number; equal values have equal numbers, different ones (but for chance, 2**-63) different ones.

    Rows with an equal key are positives of one another in contrastive objectives and right answers in retrieval: the
    scene that several pictures show, the caption that stands twice. There are no classes to be learned. Text is
    compared without spaces around it, and ``3`` and ``"3"`` are the same, as with labels. A row may lack its key.

    Args:
        column: where the value stands in a row, such as a field (of a picture its path is the key); None where it
            bears the target's name.
    """

    kind = "key"
    out_dim: int | None = None
    labels: list[str] | None = None
    absent: np.ndarray | None = np.asarray(NO_KEY, dtype=np.int64)

    def __init__(self, column: str | None = None) -> None:
        self.column = column

    def __call__(self, value: Any) -> np.ndarray:
        """One value -> int64 scalar array [], never `NO_KEY`. Raises DataError for what cannot be compared."""
        digest = hashlib.blake2b(_canonical(value), digest_size=8).digest()
        number = int.from_bytes(digest, "little", signed=True)
        return np.asarray(number if number != NO_KEY else 0, dtype=np.int64)

    def fit(self, values: Sequence[Any]) -> None:
        """Nothing is learned."""

    def load_labels(self, labels: list[str]) -> None:
        """Raises DataError: a key has no labels."""
        raise DataError("a key has no labels")


def _canonical(value: Any) -> bytes:
    """The same bytes for equal values."""
    if isinstance(value, bytes | bytearray):
        return b"bytes:" + bytes(value)
    if isinstance(value, np.ndarray):
        return f"array:{value.dtype}:{value.shape}:".encode() + value.tobytes()
    return b"text:" + _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, str | PurePath):
        return str(value).strip()
    if isinstance(value, np.generic):
        return _text(value.item())
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Mapping):
        return json.dumps({str(key): _text(item) for key, item in value.items()}, sort_keys=True)
    if isinstance(value, list | tuple):
        return json.dumps([_text(item) for item in value])
    if value is None or isinstance(value, bool):
        return repr(value)
    raise DataError(f"a key must be text, a number, a path, bytes or a list of these, not {type(value).__name__}")
