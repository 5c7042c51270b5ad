"""Embeddings of a batch, as the answers to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["EMBED", "embeddings", "matches"]

EMBED = "_embed"
"""How the output keys of embeddings end; what stands before it is the field."""
MATCH = "_match"
"""How the output keys of matching logits [B,B] end; what stands before it are two fields, joined by ``_``."""


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


def matches(outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> list[dict[str, float]]:
    """For each row, by pair (``image_text``): the probability that its own two fields go together, if it has both.

    Empty where the outputs hold no ``A_B_match``.
    """
    rows: list[dict[str, float]] = []
    fields = [name.removeprefix("has_") for name in batch if name.startswith("has_")]
    pairs = [(first, second) for first in fields for second in fields if f"{first}_{second}{MATCH}" in outputs]
    for first, second in pairs:
        logits = np.diagonal(np.asarray(outputs[f"{first}_{second}{MATCH}"], dtype=np.float64))
        has = np.asarray(batch[f"has_{first}"]) & np.asarray(batch[f"has_{second}"])
        rows = rows or [{} for _ in logits]
        for row, logit, present in zip(rows, logits, has, strict=True):
            if present:
                row[f"{first}_{second}"] = float(np.exp(-np.logaddexp(0.0, -logit)))
    return rows
