"""Flickr8k (Hodosh et al. 2013): 8,000 photographs with five captions each."""

from __future__ import annotations

from ppmm.data.caption_reader import CaptionReader, FoundCaptions
from ppmm.data.flickr import choose, read_comma_table, read_split_list, read_tokens
from ppmm.data.layout import Layout
from ppmm.registry import DATASETS

__all__ = ["Flickr8k"]

LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}
SHARES = {"val": 1 / 8, "test": 1 / 8}
"""Of 8,000 pictures the published lists have 6,000, 1,000 and 1,000."""


@DATASETS.register("flickr8k")
class Flickr8k(CaptionReader):
    """``Flickr8k.token.txt`` with split lists and ``Flicker8k_Dataset/``, or ``captions.txt`` (a CSV) with ``Images/``.

    The text files may be in a folder ``Flickr8k_text``. Where there are no split lists (with the CSV), the splits are
    drawn by a hash of the pictures' names. Keys: ``image``, ``caption`` (or ``captions``), ``image_id``, ``group``,
    ``id``.

    Arguments as `CaptionReader`.
    """

    def _find(self, root: str, split: str) -> FoundCaptions:
        layout = Layout("Flickr8k", "Flickr 8k (Flickr8k_Dataset.zip, Flickr8k_text.zip)", root)
        tokens, table, chosen = (
            layout.find(name, f"Flickr8k_text/{name}") for name in ("Flickr8k.token.txt", "captions.txt", LISTS[split])
        )
        if tokens is None and table is None:
            raise layout.missing("captions", "file", ("Flickr8k.token.txt", "captions.txt"))
        pictures = layout.folder(
            "pictures", "Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "Flickr8k_Dataset", "Images"
        )
        texts = read_tokens(tokens) if tokens is not None else read_comma_table(table)  # type: ignore[arg-type]
        listed = None if chosen is None else read_split_list(chosen)
        items, found = choose(layout, texts, pictures, split, listed, SHARES)
        return FoundCaptions(items, found, {"image": pictures})
