"""COCO instances (Lin et al. 2014): photographs with the kinds of the objects in them."""

from __future__ import annotations

from typing import Any, Literal

from ppmm.data.coco import CocoFiles, Year
from ppmm.data.json_file import need, read_items
from ppmm.data.reader import Reader, columns_of
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["CocoInstances"]


@DATASETS.register("coco_instances")
class CocoInstances(Reader):
    """``annotations/instances_<split><year>.json`` and the pictures ``<split><year>/*.jpg``; a row per picture.

    Keys: ``image``, ``label`` (the category of the object with the largest area), ``labels`` (the categories of all
    objects, sorted), ``image_id``, ``group``, ``id``. Pictures without objects are left out and counted.

    Args:
        root: folder that holds ``annotations`` and the pictures' folders.
        split: which part; the test parts have no objects.
        year: 2014 or 2017, the same pictures parted in another way.
        crowds: count regions marked as crowds (``iscrowd``) as objects.
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
        crowds: bool = False,
        limit: int | None = None,
    ) -> None:
        files = CocoFiles(root, "instances", split, year)
        pictures: dict[int, str] = {}
        names: dict[int, str] = {}
        largest: dict[int, tuple[float, int]] = {}
        kinds: dict[int, set[int]] = {}
        for item in read_items(files.annotations, "images", "annotations", "categories"):
            if item.list == "images":
                number, name = files.picture_of(item)
                pictures[number] = name
            elif item.list == "categories":
                number = need(item, "id", int, files.annotations)
                names[number] = need(item, "name", str, files.annotations)
            elif crowds or not item.value.get("iscrowd"):
                number, kind = (need(item, key, int, files.annotations) for key in ("image_id", "category_id"))
                area = need(item, "area", (int, float), files.annotations)
                kinds.setdefault(number, set()).add(kind)
                if number not in largest or area > largest[number][0]:
                    largest[number] = (area, kind)
        unknown = sorted(set().union(*kinds.values()) - set(names))
        if unknown:
            raise DataError(f"'{files.annotations}' has objects of a category {unknown[0]} that it does not list")
        rows: list[dict[str, Any]] = [
            {
                "id": str(number), "image": name, "label": names[largest[number][1]],
                "labels": sorted(names[kind] for kind in kinds[number]), "image_id": number, "group": str(number),
            }
            for number, name in sorted(pictures.items())
            if number in kinds
        ]  # fmt: skip
        if rows:
            files.check_picture(rows[0]["image"])
        found = f"COCO instances {split}{year}: {len(rows):,} pictures in '{files.pictures}' with objects of "
        found += f"{len(names)} categories; {len(pictures) - len(rows):,} without objects are left out"
        keys = ["id", "image", "label", "labels", "image_id", "group"]
        super().__init__(columns_of(rows, keys), found, {"image": files.pictures}, limit)
