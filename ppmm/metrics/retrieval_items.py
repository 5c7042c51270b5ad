"""The items of one field that retrieval searches: each row of the data, or each different one."""

from __future__ import annotations

import hashlib

import numpy as np

from ppmm.metrics.row_blocks import RowBlocks

__all__ = ["RetrievalItems"]


class RetrievalItems:
    """Embeddings and keys of one field.

    Args:
        distinct: count rows of equal key and equal input as one item; None decides by the input: texts (whole
            numbers) all count, as in the published protocols of Flickr and COCO, where a picture that five captions
            share counts once.
    """

    def __init__(self, distinct: bool | None = None) -> None:
        self.distinct = distinct
        self.embeds = RowBlocks()
        self._keys: list[np.ndarray] = []
        self._seen: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.embeds)

    @property
    def keys(self) -> np.ndarray:
        """Int64 [N]."""
        return np.concatenate(self._keys) if self._keys else np.zeros(0, dtype=np.int64)

    def add(self, embeds: np.ndarray, keys: np.ndarray, inputs: np.ndarray, mask: np.ndarray | None) -> None:
        """Take the rows that are new.

        Args:
            embeds: [B,D].
            keys: [B].
            inputs: what the embeddings were computed from, [B,...].
            mask: bool [B,L] of ``inputs`` [B,L,...], None where lengths do not vary.
        """
        keys = keys.astype(np.int64)
        distinct = inputs.dtype.kind not in "iu" if self.distinct is None else self.distinct
        if distinct:
            new = np.array([self._is_new(key, inputs, mask, row) for row, key in enumerate(keys)], dtype=bool)
            embeds, keys = embeds[new], keys[new]
        if len(keys):
            self.embeds.append(embeds)
            self._keys.append(keys)

    def _is_new(self, key: np.int64, inputs: np.ndarray, mask: np.ndarray | None, row: int) -> bool:
        value = inputs[row] if mask is None else inputs[row][mask[row]]  # padding depends on the batch
        digest = hashlib.blake2b(value.tobytes(), digest_size=16, salt=key.tobytes()).digest()
        known = digest in self._seen
        self._seen.add(digest)
        return not known
