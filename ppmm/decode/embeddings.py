"""Embeddings of a batch, as the answers to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["EMBED", "embeddings"]

EMBED = "_embed"
"""How the output keys of embeddings end; what stands before it is the field."""


def embeddings(outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> list[dict[str, list[float]]]:
    """For each row: ``F_embed`` [B,D] of the fields that it has (``has_F`` [B]), by field.

    Empty where the outputs hold no embeddings.
    """
    rows: list[dict[str, list[float]]] = []
    for name, values in outputs.items():
        if not name.endswith(EMBED):
            continue
        field = name.removesuffix(EMBED)
        array, has = np.asarray(values, dtype=np.float64), np.asarray(batch[f"has_{field}"])
        rows = rows or [{} for _ in array]
        for row, embed, present in zip(rows, array, has, strict=True):
            if present:
                row[field] = embed.tolist()
    return rows
