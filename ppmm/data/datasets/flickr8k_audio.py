"""Flickr 8k Audio Caption Corpus (Harwath and Glass 2015): the captions of Flickr8k, spoken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from ppmm.data.datasets.flickr8k import LISTS, SHARES
from ppmm.data.flickr import Texts, read_split_list, read_tokens
from ppmm.data.layout import Layout
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice, part_of
from ppmm.data.text_file import read_text
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["Flickr8kAudio"]


@DATASETS.register("flickr8k_audio")
class Flickr8kAudio(Reader):
    """``wav2capt.txt`` (``<recording> <picture> #<number>``), ``wav2spk.txt``, and ``wavs/``; a row per recording.

    The corpus holds neither pictures nor texts; those of Flickr8k join it where their folder is given. Keys:
    ``audio``, ``image``, ``caption``, ``speaker`` (each where known), ``image_id``, ``group`` (the picture), ``id``.
    Splits are Flickr8k's lists, or else drawn by a hash of the pictures' names. Recordings without file are left out
    and counted.

    Args:
        root: folder ``flickr_audio``, or the one that holds it.
        split: which part.
        flickr8k: folder of Flickr8k (its pictures, ``Flickr8k.token.txt`` and split lists, whichever are there).
        limit: take only the first so many rows.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"],
        flickr8k: str | None = None,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, LISTS)
        layout = Layout("Flickr8k Audio", "Flickr 8k Audio Caption Corpus (flickr_audio.tar.gz)", root)
        listing = layout.file("list of recordings", "wav2capt.txt", "flickr_audio/wav2capt.txt")
        base = listing.parent
        if not (base / "wavs").is_dir():
            raise layout.error(f"no recordings: looked for the folder '{base / 'wavs'}'")
        there = {path.name for path in (base / "wavs").iterdir()}
        speakers = _speakers(base / "wav2spk.txt")
        listed, texts, pictures = _flickr8k(flickr8k, split)
        rows: list[dict[str, Any]] = []
        absent = 0
        for number, line in enumerate(read_text(listing).splitlines(), 1):
            cells = line.split()
            if not cells:
                continue
            if len(cells) != 3 or re.fullmatch(r"#[0-9]{1,3}", cells[2]) is None:
                raise DataError(f"{listing}:{number}: expected '<wav> <jpg> #<number>', found {ascii(line)[:60]}")
            wav, picture, place = cells[0], cells[1], int(cells[2][1:])
            if (picture not in listed) if listed is not None else (part_of(picture, SHARES) != split):
                continue
            if wav not in there:
                absent += 1
                continue
            captions = texts.get(picture, [])
            rows.append({
                "id": wav, "audio": wav, "image": picture if pictures is not None else None,
                "caption": captions[place] if place < len(captions) else None, "speaker": speakers.get(wav),
                "image_id": Path(picture).stem, "group": Path(picture).stem,
            })  # fmt: skip
        how = "by the published list" if listed is not None else "drawn by a hash of the pictures' names"
        found = f"Flickr8k Audio {split}: {len(rows):,} recordings in '{base / 'wavs'}', {how}"
        found += f"; {absent:,} more are not there" if absent else ""
        folders = {"audio": base / "wavs", **({} if pictures is None else {"image": pictures})}
        keys = ["id", "audio", "image", "caption", "speaker", "image_id", "group"]
        super().__init__(columns_of(rows, keys), found, folders, limit)


def _speakers(path: Path) -> dict[str, str]:
    """Recording -> speaker, empty where there is no list. Raises DataError."""
    if not path.is_file():
        return {}
    speakers = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split()
        if cells and len(cells) != 2:
            raise DataError(f"{path}:{number}: expected '<wav> <speaker>', found {ascii(line)[:60]}")
        if cells:
            speakers[cells[0]] = cells[1]
    return speakers


def _flickr8k(root: str | None, split: str) -> tuple[set[str] | None, Texts, Path | None]:
    """The pictures of the split, captions by picture, and the folder of pictures, each where it is there."""
    if root is None:
        return None, {}, None
    layout = Layout("Flickr8k", "Flickr 8k (Flickr8k_Dataset.zip, Flickr8k_text.zip)", root)
    chosen, tokens = (layout.find(name, f"Flickr8k_text/{name}") for name in (LISTS[split], "Flickr8k.token.txt"))
    pictures = layout.find("Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
    listed = None if chosen is None else read_split_list(chosen)
    return listed, {} if tokens is None else read_tokens(tokens), pictures
