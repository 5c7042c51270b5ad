"""What Flickr8k and Flickr30k share: caption lists, split lists, and pictures in one folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ppmm.data.captions import Captioned
from ppmm.data.layout import Layout
from ppmm.data.splits import part_of
from ppmm.data.table import read_table
from ppmm.data.text_file import read_text
from ppmm.errors import DataError

__all__ = ["choose", "read_bars", "read_comma_table", "read_split_list", "read_tokens"]

TOKEN = re.compile(r"([^\t#]+)#(\d+)\t(.*)")
BAR = re.compile(r"([^|]+)\|\s*(\d+)\s*\|?\s*(.*)")
HEADER_OF_BARS = "image_name| comment_number| comment"

Texts = dict[str, list[str]]
"""Picture's file name -> captions in their order."""


def read_tokens(path: Path) -> Texts:
    """``1000268201_693b08cb0e.jpg#0<TAB>A child ...``, one caption per line. Raises DataError with the line."""
    return _read_lines(path, TOKEN, "<picture>#<number><TAB><caption>", 1)


def read_bars(path: Path) -> Texts:
    """``results.csv``: ``image_name| comment_number| comment``. Captions hold commas and quotes, and one published line
    lacks its second bar (2199200615.jpg), which is read all the same. Raises DataError with the line."""
    first = read_text(path).partition("\n")[0].strip()
    if [cell.strip() for cell in first.split("|")] != [cell.strip() for cell in HEADER_OF_BARS.split("|")]:
        raise DataError(f"{path}:1: expected '{HEADER_OF_BARS}', found {ascii(first)[:80]}")
    return _read_lines(path, BAR, "<picture>| <number>| <caption>", 2)


def read_comma_table(path: Path) -> Texts:
    """``image,caption``, one caption per row. Raises DataError with the line."""
    texts: Texts = {}
    for line, cells in read_table(path, ".csv"):
        if set(cells) != {"image", "caption"}:
            raise DataError(f"{path}:1: expected the columns image,caption, found {','.join(cells)}")
        _add(texts, cells["image"], cells["caption"], f"{path}:{line}")
    return texts


def read_split_list(path: Path) -> set[str]:
    """File names of pictures, one per line; the suffix may be missing. Raises DataError."""
    names = {line.strip() for line in read_text(path).splitlines() if line.strip()}
    if not names:
        raise DataError(f"'{path}' lists no picture")
    return {name if Path(name).suffix else f"{name}.jpg" for name in names}


def choose(
    layout: Layout, texts: Texts, pictures: Path, split: str, listed: set[str] | None, shares: Mapping[str, float]
) -> tuple[list[Captioned], str]:
    """The pictures of a split with their captions, in the order of their names, and what to say of them.

    Args:
        listed: pictures of the split; None to draw it by a hash of the names, with these ``shares``.

    Raises:
        DataError: a listed picture without captions, or without a file; no picture at all.
    """
    with os.scandir(pictures) as entries:
        there = {entry.name for entry in entries}
    if listed is not None:
        for name in sorted(listed):
            if name not in texts:
                raise layout.error(f"the list of {split} names '{name}', which has no caption")
            if name not in there:
                raise layout.error(f"the list of {split} names '{name}'; looked for the file '{pictures / name}'")
        names, how = sorted(listed), "by the published list"
    else:
        names = sorted(name for name in texts if name in there and part_of(name, shares) == split)
        how = "drawn by a hash of the pictures' names, for there is no split list"
        absent = sum(name not in there for name in texts)
        how += f"; {absent:,} pictures with captions have no file" if absent else ""
    if not names:
        raise layout.error(f"no pictures of {split}: looked for '{pictures}/*.jpg' with captions")
    items = [Captioned(Path(name).stem, {"image": name, "image_id": Path(name).stem}, texts[name]) for name in names]
    count = sum(len(item.captions) for item in items)
    return items, f"{layout.name} {split}: {count:,} captions of {len(items):,} pictures in '{pictures}', {how}"


def _read_lines(path: Path, pattern: re.Pattern[str], form: str, start: int) -> Texts:
    texts: Texts = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if number < start or not line.strip():
            continue
        found = pattern.fullmatch(line.rstrip("\r"))
        if found is None:
            raise DataError(f"{path}:{number}: expected '{form}', found {ascii(line)[:60]}")
        _add(texts, found[1], found[3], f"{path}:{number}")
    if not texts:
        raise DataError(f"'{path}' has no captions")
    return texts


def _add(texts: Texts, picture: str, caption: str, where: str) -> None:
    text, name = " ".join(caption.split()), picture.strip()
    if not text or not name or "/" in name or "\\" in name:
        raise DataError(f"{where}: needs the file name of a picture and a caption")
    texts.setdefault(name, []).append(text)
