"""What the readers of captioned pictures and recordings share: their arguments, and rows from captions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from ppmm.data.captions import Captioned, Captions, caption_columns
from ppmm.data.reader import Reader
from ppmm.data.splits import check_choice

__all__ = ["CaptionReader", "FoundCaptions"]

SPLITS = ("train", "val", "test")


class FoundCaptions(NamedTuple):
    """What a subclass found: the captioned things, a sentence about them, and the folder of each field's files."""

    items: Iterable[Captioned]
    what: str
    folders: Mapping[str, Path]


class CaptionReader(Reader):
    """Pictures or recordings with several captions each; a subclass finds them. Not registered.

    Args:
        root: folder of the files.
        split: which part.
        captions: ``rows``: a row per caption; ``list``: a row per picture or recording, with key ``captions``.
        limit: take only the first so many rows.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"],
        captions: Captions = "rows",
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, SPLITS)
        check_choice("captions", captions, ("rows", "list"))
        items, what, folders = self._find(root, split)
        super().__init__(caption_columns(items, captions), what, folders, limit)

    def _find(self, root: str, split: str) -> FoundCaptions:
        """Read the captions of a split. Raises DataError."""
        raise NotImplementedError
