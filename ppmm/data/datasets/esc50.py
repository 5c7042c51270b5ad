"""ESC-50 (Piczak 2015): 2,000 recordings of 5 s, 50 kinds of environmental sound, five folds."""

from __future__ import annotations

from ppmm.data.layout import Layout, is_file
from ppmm.data.reader import Reader, columns_of
from ppmm.data.table import read_table
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS

__all__ = ["Esc50"]

COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")


@DATASETS.register("esc50")
class Esc50(Reader):
    """``meta/esc50.csv`` and ``audio/<fold>-<source>-<take>-<class>.wav``.

    Keys: ``audio``, ``label`` (the category), ``group`` (the Freesound clip of which it is a piece; folds never part
    them), ``fold``, ``id``.

    Args:
        root: the unpacked ESC-50-master, or the folder that holds it.
        folds: which of the folds 1 to 5; the published protocol tests on each in turn.
        esc10: only the ten classes of ESC-10.
        limit: take only the first so many rows.

    Raises:
        ConfigError: no such fold, ``limit`` below 1.
        DataError: files that are missing or damaged.
    """

    def __init__(self, root: str, folds: list[int], esc10: bool = False, limit: int | None = None) -> None:
        if not folds or not set(folds) <= set(range(1, 6)):
            raise ConfigError(f"folds: {folds} must be a list of some of 1, 2, 3, 4, 5")
        layout = Layout("ESC-50", "karolpiczak/ESC-50 (ESC-50-master.zip)", root)
        meta = layout.file("list of recordings", "meta/esc50.csv", "ESC-50-master/meta/esc50.csv")
        folder = layout.folder("recordings", "audio", "ESC-50-master/audio")
        rows = []
        for line, cells in read_table(meta):
            missing = [column for column in COLUMNS if column not in cells]
            if missing:
                raise DataError(f"{meta}:1: no column '{missing[0]}'; expected {','.join(COLUMNS)}")
            if not cells["filename"].strip() or not cells["category"].strip():
                raise DataError(f"{meta}:{line}: needs a filename and a category")
            if cells["fold"] not in ("1", "2", "3", "4", "5"):
                raise DataError(f"{meta}:{line}: fold '{cells['fold']}' must be 1 to 5")
            if int(cells["fold"]) in folds and (not esc10 or cells["esc10"] == "True"):
                name = cells["filename"]
                rows.append({"id": name, "audio": name, "label": cells["category"], "group": cells["src_file"]})
                rows[-1]["fold"] = cells["fold"]
        if rows and not is_file(folder / str(rows[0]["audio"])):
            raise layout.missing("recording", "file", (str(folder.relative_to(layout.root) / str(rows[0]["audio"])),))
        kinds = len({row["label"] for row in rows})
        found = f"ESC-50 folds {folds}: {len(rows):,} recordings of {kinds} classes in '{folder}', by '{meta}'"
        super().__init__(
            columns_of(rows, ["id", "audio", "label", "group", "fold"]), found, {"audio": folder}, limit
        )  # fmt: skip
