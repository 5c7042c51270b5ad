"""COCO captions (Chen et al. 2015): photographs with about five captions each."""

from __future__ import annotations

from typing import Literal

from ppmm.data.captions import Captioned, Captions, caption_columns
from ppmm.data.coco import CocoFiles, Year
from ppmm.data.json_file import need, read_items
from ppmm.data.reader import Reader
from ppmm.data.splits import check_choice
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["CocoCaptions"]


@DATASETS.register("coco_captions")
class CocoCaptions(Reader):
    """``annotations/captions_<split><year>.json`` and the pictures ``<split><year>/*.jpg``.

    Keys: ``image``, ``caption`` (or ``captions``), ``image_id``, ``group`` (the same as text), ``id``.

    Args:
        root: folder that holds ``annotations`` and the pictures' folders.
        split: which part; the test parts have no captions.
        year: 2014 or 2017, the same pictures parted in another way.
        captions: ``rows``: a row per caption; ``list``: a row per picture, with key ``captions``.
        limit: take only the first so many rows.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val"],
        year: Year = 2017,
        captions: Captions = "rows",
        limit: int | None = None,
    ) -> None:
        check_choice("captions", captions, ("rows", "list"))
        files = CocoFiles(root, "captions", split, year)
        pictures: dict[int, str] = {}
        texts: dict[int, list[str]] = {}
        for item in read_items(files.annotations, "images", "annotations"):
            if item.list == "images":
                number, name = files.picture_of(item)
                pictures[number] = name
            else:
                text = " ".join(need(item, "caption", str, files.annotations).split())
                texts.setdefault(need(item, "image_id", int, files.annotations), []).append(text)
        unknown = sorted(set(texts) - set(pictures))
        if unknown:
            raise DataError(f"'{files.annotations}' has captions of a picture {unknown[0]} that it does not list")
        items = [
            Captioned(str(number), {"image": name, "image_id": number}, texts.get(number, []))
            for number, name in sorted(pictures.items())
        ]
        for first in pictures.values():
            files.check_picture(first)
            break
        count = sum(map(len, texts.values()))
        found = f"COCO captions {split}{year}: {count:,} captions of {len(texts):,} pictures in '{files.pictures}'"
        super().__init__(caption_columns(items, captions), found, {"image": files.pictures}, limit)
