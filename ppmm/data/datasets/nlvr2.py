"""NLVR2 (Suhr et al. 2019): is a statement true of a pair of photographs?"""

from __future__ import annotations

import re
from typing import Any, Literal

from ppmm.data.layout import Layout, is_file
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice
from ppmm.data.table import read_table
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["Nlvr2"]

SPLITS = ("train", "dev", "test1", "test2")
IDENTIFIER = re.compile(r"([a-z0-9]+-\d+)-(\d+)-(\d+)")
LABELS = {"true": "true", "false": "false"}


@DATASETS.register("nlvr2")
class Nlvr2(Reader):
    """``data/<split>.json`` (one object per line) and the pictures ``<split>-<set>-<pair>-img0.png`` and ``-img1.png``.

    The pictures lie in ``images/train/<directory>/``, ``dev/`` and ``test1/`` (or ``images/dev/`` ...), as the authors
    hand them out; many bear the suffix .png and are JPEG. Keys: ``image_left``, ``image_right``, ``text``, ``label``
    (true or false), ``group`` (the set of eight pictures from which the pair is), ``pair`` (pictures shared by the
    statements on them), ``id``.

    Args:
        root: the repository's folder ``nlvr2`` with the pictures in it, or the one that holds it.
        split: which part.
        present: leave out pairs of which a picture is missing (about 5 % of the addresses are dead); they are counted.
        limit: take only the first so many rows.

    Raises:
        ConfigError: an unknown split, ``limit`` below 1.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "dev", "test1", "test2"],
        present: bool = True,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, SPLITS)
        layout = Layout("NLVR2", "lil-lab/nlvr, folder nlvr2 (pictures: its form)", root)
        table = layout.file(f"statements of {split}", f"data/{split}.json", f"nlvr2/data/{split}.json")
        base = table.parent.parent
        places = [base / "images" / split, base / split]
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            raise layout.error(f"no pictures: looked for the folder '{places[0]}' or '{places[1]}'")
        rows: list[dict[str, Any]] = []
        absent = 0
        for line, cells in read_table(table, ".jsonl"):
            row = _row(cells, f"{table}:{line}")
            if present and not all(is_file(folder / row[side]) for side in ("image_left", "image_right")):
                absent += 1
            else:
                rows.append(row)
        if not rows:
            raise layout.error(f"no pictures: looked for '{folder}/**/<identifier>-img0.png'; none of {absent:,} pairs")
        found = f"NLVR2 {split}: {len(rows):,} statements in '{table}', pictures in '{folder}'"
        found += f"; {absent:,} more lack a picture" if absent else ""
        super().__init__(columns_of(rows, list(rows[0])), found, {"image_left": folder, "image_right": folder}, limit)


def _row(cells: dict[str, Any], where: str) -> dict[str, Any]:
    """The keys of a sample, pictures relative to the folder of the split. Raises DataError."""
    identifier, sentence = (cells.get(key) for key in ("identifier", "sentence"))
    found = IDENTIFIER.fullmatch(identifier) if isinstance(identifier, str) else None
    if found is None:
        raise DataError(f"{where}: identifier {ascii(identifier)[:40]} is not <split>-<set>-<pair>-<sentence>")
    label = LABELS.get(str(cells.get("label")).lower())
    if label is None or not isinstance(sentence, str) or not sentence.strip():
        raise DataError(f"{where}: needs a sentence and the label True or False")
    pair = f"{found[1]}-{found[2]}"
    directory = cells.get("directory")  # only in train.json
    stem = pair if directory is None else f"{directory}/{pair}"
    pictures = {"image_left": f"{stem}-img0.png", "image_right": f"{stem}-img1.png"}
    return {"id": identifier, **pictures, "text": sentence.strip(), "label": label, "group": found[1], "pair": pair}
