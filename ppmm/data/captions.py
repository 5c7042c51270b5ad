"""Several captions per picture or recording -> one row per caption, or one row with the list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

__all__ = ["Captioned", "Captions", "caption_columns"]

Captions = Literal["rows", "list"]
"""``rows``: a row per caption, key ``caption``; ``list``: a row per picture or recording, key ``captions``."""


class Captioned(NamedTuple):
    """A picture or recording: ``group`` its id, ``cells`` its other keys, ``captions`` in their order."""

    group: str
    cells: Mapping[str, Any]
    captions: list[str]


def caption_columns(items: Iterable[Captioned], captions: Captions) -> dict[str, list[Any]]:
    """Columns ``id`` (``<group>#<number>``, or the group), ``group``, those of ``cells``, and the captions.

    Items without captions give no row.
    """
    columns: dict[str, list[Any]] = {"id": [], "group": []}
    for item in items:
        texts: list[Any] = [item.captions] if captions == "list" and item.captions else item.captions
        for number, text in enumerate(texts):
            row = {
                "id": item.group if captions == "list" else f"{item.group}#{number}",
                "group": item.group,
                **item.cells,
                "captions" if captions == "list" else "caption": text,
            }
            for key, value in row.items():
                columns.setdefault(key, []).append(value)
    return columns
