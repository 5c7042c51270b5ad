"""Where the files of COCO are, and what its readers share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ppmm.data.json_file import Item, need
from ppmm.data.layout import Layout, is_file
from ppmm.data.splits import check_choice

__all__ = ["CocoFiles", "Year", "picture_name"]

Year = Literal[2014, 2017]


class CocoFiles:
    """``annotations/<kind>_<split><year>.json`` and the folder ``<split><year>`` of pictures.

    Attributes:
        annotations: the JSON file.
        pictures: the folder.
    """

    def __init__(self, root: str, kind: str, split: str, year: int) -> None:
        """Raises ConfigError for an unknown split or year, DataError where a file is missing."""
        check_choice("split", split, ("train", "val"))
        check_choice("year", str(year), ("2014", "2017"))
        self.layout = Layout("COCO", f"COCO - Common Objects in Context, {year} Train/Val annotations and images", root)
        part = f"{split}{year}"
        file = f"annotations/{kind}_{part}.json"
        self.annotations = self.layout.file(
            f"{kind} of {part}", file, f"annotations_trainval{year}/{file}", f"{kind}_{part}.json"
        )
        self.pictures = self.layout.folder(f"pictures of {part}", part, f"images/{part}")

    def check_picture(self, name: str) -> None:
        """Raises DataError where a picture of the list is not in the folder."""
        if not is_file(self.pictures / name):
            raise self.layout.error(f"'{self.annotations}' lists a picture that is not at '{self.pictures / name}'")

    def picture_of(self, item: Item) -> tuple[int, str]:
        """(id, file name) of an entry of ``images``. Raises DataError."""
        return need(item, "id", int, self.annotations), Path(need(item, "file_name", str, self.annotations)).name


def picture_name(part: str, number: int) -> str:
    """The name of a picture of 2014 or 2015: ``COCO_train2014_000000000009.jpg``."""
    return f"COCO_{part}_{number:012d}.jpg"
