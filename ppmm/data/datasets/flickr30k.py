"""Flickr30k (Young et al. 2014): 31,783 photographs with five captions each."""

from __future__ import annotations

from ppmm.data.caption_reader import CaptionReader, FoundCaptions
from ppmm.data.flickr import choose, read_bars, read_comma_table, read_split_list, read_tokens
from ppmm.data.layout import Layout
from ppmm.data.text_file import read_text
from ppmm.registry import DATASETS

__all__ = ["Flickr30k"]

SPLITS = ("train", "val", "test")
TOKENS = ("results_20130124.token", "flickr30k/results_20130124.token")
TABLES = ("results.csv", "flickr30k_images/results.csv", "captions.txt")
SHARES = {"val": 1 / 31, "test": 1 / 31}
"""The published lists have 29,783, 1,000 and 1,000 pictures."""


@DATASETS.register("flickr30k")
class Flickr30k(CaptionReader):
    """``results_20130124.token``, or one CSV (``results.csv`` with bars, or ``captions.txt`` with commas).

    The pictures are in ``flickr30k-images/`` or ``flickr30k_images/`` (the CSV's download has it twice, one inside the
    other). The split lists are those of Flickr30k Entities, ``train.txt``, ``val.txt`` and ``test.txt``, one id per
    line; without them the splits are drawn by a hash of the pictures' names. Keys: ``image``, ``caption`` (or
    ``captions``), ``image_id``, ``group``, ``id``.

    Arguments as `CaptionReader`.
    """

    def _find(self, root: str, split: str) -> FoundCaptions:
        layout = Layout("Flickr30k", "Flickr30k (flickr30k-images.tar, results_20130124.token)", root)
        tokens, table = layout.find(*TOKENS), layout.find(*TABLES)
        if tokens is not None:
            texts = read_tokens(tokens)
        elif table is not None:
            bars = "|" in read_text(table).partition("\n")[0]
            texts = read_bars(table) if bars else read_comma_table(table)
        else:
            raise layout.missing("captions", "file", (*TOKENS, *TABLES))
        pictures = layout.folder(
            "pictures", "flickr30k-images", "flickr30k_images/flickr30k_images", "flickr30k_images", "Images"
        )
        chosen = layout.find(f"{split}.txt", f"flickr30k_entities/{split}.txt")
        listed = None if chosen is None else read_split_list(chosen)
        items, found = choose(layout, texts, pictures, split, listed, SHARES)
        return FoundCaptions(items, found, {"image": pictures})
