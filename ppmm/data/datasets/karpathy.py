"""Karpathy's splits of captioned pictures (Karpathy and Fei-Fei 2015): what retrieval on COCO is published on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ppmm.data.caption_reader import SPLITS, CaptionReader, FoundCaptions
from ppmm.data.captions import Captioned, Captions
from ppmm.data.json_file import Item, need, read_items
from ppmm.data.layout import Layout, is_file
from ppmm.data.splits import check_choice
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS

__all__ = ["Karpathy"]

PUBLISHED = {
    "coco": ("COCO", "COCO 2014 Train/Val images (train2014.zip, val2014.zip)", ("", "images")),
    "flickr8k": (
        "Flickr8k", "Flickr 8k (Flickr8k_Dataset.zip)",
        ("Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "Flickr8k_Dataset", "Images"),
    ),
    "flickr30k": (
        "Flickr30k", "Flickr30k (flickr30k-images.tar)",
        ("flickr30k-images", "flickr30k_images/flickr30k_images", "flickr30k_images", "Images"),
    ),
}  # fmt: skip
"""Name, download, and where the pictures are; COCO's JSON names the folder of each picture itself."""
REST = "restval"
"""The part of val2014 that is neither val nor test."""


@DATASETS.register("karpathy")
class Karpathy(CaptionReader):
    """``dataset_coco.json``, ``dataset_flickr8k.json`` or ``dataset_flickr30k.json``, and the pictures.

    Rows are in the order of the file, which the protocols of COCO go by: test has 5,000 pictures with the first five
    captions of each (5k), and five folds of 1,000 of them (see the metric ``retrieval``). Keys: ``image``, ``caption``
    (or ``captions``), ``image_id``, ``group``, ``id``.

    Args:
        root: folder that holds the JSON (or ``karpathy/`` or ``caption_datasets/`` with it) and the pictures.
        split: which part; train, val and test of COCO are 113,287 (with restval), 5,000 and 5,000 pictures.
        dataset: which of the three.
        rest: whether train has the pictures of ``restval`` too.
        per_picture: keep the first so many captions of each picture; one that has fewer is an error. None: all.
        captions: ``rows``: a row per caption; ``list``: a row per picture, with key ``captions``.
        limit: take only the first so many rows.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged, a picture with fewer captions.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"],
        dataset: Literal["coco", "flickr8k", "flickr30k"] = "coco",
        rest: bool = True,
        per_picture: int | None = 5,
        captions: Captions = "rows",
        limit: int | None = None,
    ) -> None:
        check_choice("dataset", dataset, PUBLISHED)
        if per_picture is not None and per_picture < 1:
            raise ConfigError(f"per_picture: {per_picture} must be at least 1")
        self._dataset, self._rest, self._per_picture = dataset, rest, per_picture
        super().__init__(root, split, captions, limit)

    def _find(self, root: str, split: str) -> FoundCaptions:
        name, page, places = PUBLISHED[self._dataset]
        layout = Layout(name, f"{page} and Karpathy's caption_datasets.zip", root)
        file = f"dataset_{self._dataset}.json"
        path = layout.file("list of splits", file, f"karpathy/{file}", f"caption_datasets/{file}")
        parts = (split, REST) if split == "train" and self._rest else (split,)
        items = [
            self._captioned(item, path)
            for item in read_items(path, "images")
            if _part(item, path) in parts
        ]  # fmt: skip
        if not items:
            raise layout.error(f"'{path}' has no pictures of {' or '.join(parts)}")
        pictures = self._pictures(layout, places, items[0].cells["image"])
        count = sum(len(item.captions) for item in items)
        what = f"{name} {split} of Karpathy's split: {count:,} captions of {len(items):,} pictures in '{pictures}'"
        return FoundCaptions(items, what, {"image": pictures})

    def _captioned(self, item: Item, path: Path) -> Captioned:
        """One picture of the list. Raises DataError."""
        name = need(item, "filename", str, path)
        if self._dataset == "coco":
            name, number = f"{need(item, 'filepath', str, path)}/{name}", need(item, "cocoid", int, path)
        else:
            number = Path(name).stem
        texts = [_caption(sentence, f"{path} {item.place}") for sentence in need(item, "sentences", list, path)]
        if self._per_picture is not None:
            if len(texts) < self._per_picture:
                raise DataError(
                    f"{path} {item.place}: {len(texts)} captions, {self._per_picture} are needed of each picture "
                    "(per_picture: null takes what there is)"
                )
            texts = texts[: self._per_picture]
        return Captioned(str(number), {"image": name, "image_id": number}, texts)

    def _pictures(self, layout: Layout, places: tuple[str, ...], first: str) -> Path:
        """The folder in which the first picture is. Raises DataError."""
        for place in places:
            if is_file(layout.root / place / first):
                return layout.root / place
        raise layout.missing("pictures", "file", tuple(f"{place}/{first}".lstrip("/") for place in places))


def _part(item: Item, path: Path) -> str:
    """The split of a picture. Raises DataError for one that there is not."""
    part = str(need(item, "split", str, path))
    if part not in (*SPLITS, REST):
        raise DataError(f"{path} {item.place}: split is {ascii(part)[:40]}; there is {', '.join((*SPLITS, REST))}")
    return part


def _caption(sentence: Any, where: str) -> str:
    """The text of one entry of ``sentences``. Raises DataError."""
    text = sentence.get("raw") if isinstance(sentence, dict) else None
    if not isinstance(text, str) or not text.split():
        raise DataError(f"{where}: a sentence has no text 'raw': {ascii(sentence)[:60]}")
    return " ".join(text.split())
