"""Which rows of a batch take part in a pair of fields, and which of them belong together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import paddle
from paddle import Tensor

from ppmm.types import Batch, Outputs

__all__ = ["embedding", "named_pairs", "pair_rows", "positive_pairs", "similarities"]

NO_KEY = -1
"""The key of a row that has none, see `ppmm.types.Target`."""
EPSILON = 1e-12


def named_pairs(fields: Sequence[str], pairs: Sequence[Sequence[str]] | None) -> list[tuple[str, str]]:
    """The pairs of fields to be compared: those that are listed, or all. Raises ValueError that says what is wrong."""
    if len(fields) < 2 or len(set(fields)) != len(fields):
        raise ValueError(f"fields must name at least two different fields, got {list(fields)}")
    if pairs is None:
        return list(combinations(fields, 2))
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(fields):
            raise ValueError(f"pairs: {list(pair)} is not two different fields of {', '.join(fields)}")
    unused = set(fields) - {field for pair in pairs for field in pair}
    if unused:
        raise ValueError(f"pairs: no pair has {', '.join(sorted(unused))}; name it in one or leave it out of fields")
    return [(pair[0], pair[1]) for pair in pairs]


def pair_rows(batch: Batch, first: str, second: str) -> Tensor:
    """bool [B]: the rows that have both fields."""
    return batch[f"has_{first}"].logical_and(batch[f"has_{second}"])


def embedding(outputs: Outputs, field: str, rows: Tensor) -> Tensor:
    """``F_embed`` as float32 [B,D] of length 1, and zeros where ``rows`` [B] is false, whatever stands there."""
    embed = outputs[f"{field}_embed"].astype("float32")
    embed = paddle.where(rows.unsqueeze(-1), embed, paddle.zeros_like(embed))
    return embed * paddle.rsqrt((embed * embed).sum(axis=-1, keepdim=True) + EPSILON)


def similarities(outputs: Outputs, first: str, second: str, rows: Tensor) -> Tensor:
    """Cosines [B,B] of each row's ``first`` with each row's ``second``; 0 where one of the ``rows`` takes no part."""
    return paddle.matmul(embedding(outputs, first, rows), embedding(outputs, second, rows), transpose_y=True)


def positive_pairs(batch: Batch, keys: Sequence[str], rows: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
    """bool [B,B]: two of the ``rows`` [B] belong together when any of their keys is equal; each does with itself.

    Of the first axis only ``start`` to ``stop``.
    """
    stop = rows.shape[0] if stop is None else stop
    number = paddle.arange(rows.shape[0])
    positive = number[start:stop].unsqueeze(1).equal(number.unsqueeze(0))
    for key in keys:
        value = batch[key]
        same = value.unsqueeze(0).equal(value[start:stop].unsqueeze(1)).logical_and((value != NO_KEY).unsqueeze(0))
        positive = positive.logical_or(same)
    return positive.logical_and(rows.unsqueeze(0)).logical_and(rows[start:stop].unsqueeze(1))
