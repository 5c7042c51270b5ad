"""Cornell NLVR (Suhr et al. 2017): is a statement true of a picture with three boxes of shapes?"""

from __future__ import annotations

from typing import Any, Literal

from ppmm.data.layout import Layout, is_file
from ppmm.data.nlvr_attributes import attributes_of
from ppmm.data.nlvr_statements import read_scene
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice
from ppmm.data.table import read_table
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["Nlvr"]

SPLITS = ("train", "dev", "test")
PERMUTATIONS = 6


@DATASETS.register("nlvr")
class Nlvr(Reader):
    """``<split>/<split>.json``, an object per line, and ``<split>/images/<directory>/<split>-<identifier>-<0..5>.png``.

    The six pictures of a statement show its boxes in another order each; the statement holds for all or none. A row
    per picture: ``image``, ``text``, ``label`` (true or false), ``group`` (the first part of the identifier, shared by
    up to four examples that were shown together), ``statement`` (split and identifier), ``directory``, ``id``, and
    ``attributes`` (`ppmm.data.nlvr_attributes`) where the pictures are described.

    Args:
        root: the repository's folder ``nlvr``, or the one that holds it.
        split: ``test`` is the public one, test-P.
        directories: only the examples of these numbered directories, which the authors recommend for splits of one's
            own; None for all.
        permutations: take only the first so many of the six pictures.
        limit: take only the first so many rows.

    Raises:
        ConfigError: an unknown split, ``limit`` below 1.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "dev", "test"],
        directories: list[int] | None = None,
        permutations: Literal[1, 2, 3, 4, 5, 6] = 6,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, SPLITS)
        layout = Layout("NLVR", "lil-lab/nlvr (Cornell Natural Language Visual Reasoning)", root)
        table = layout.file(f"statements of {split}", f"{split}/{split}.json", f"nlvr/{split}/{split}.json")
        folder = table.parent / "images"
        wanted = None if directories is None else {str(number) for number in directories}
        rows: list[dict[str, Any]] = []
        for line, cells in read_table(table, ".jsonl"):
            where = f"{table}:{line}"
            sentence, label, identifier, directory = (
                _text(cells, key, where) for key in ("sentence", "label", "identifier", "directory")
            )
            if label not in ("true", "false"):
                raise DataError(f"{where}: label '{label}' must be true or false")
            if wanted is not None and directory not in wanted:
                continue
            row: dict[str, Any] = {"text": sentence, "label": label, "directory": directory}
            row |= {"group": f"{split}-{identifier.split('-')[0]}", "statement": f"{split}-{identifier}"}
            if cells.get("structured_rep") is not None:
                row["attributes"] = attributes_of(read_scene(cells["structured_rep"], where))
            names = [f"{split}-{identifier}-{number}" for number in range(min(permutations, PERMUTATIONS))]
            rows += [{"id": name, "image": f"{directory}/{name}.png", **row} for name in names]
        if rows and not is_file(folder / rows[0]["image"]):
            raise layout.error(f"no pictures: looked for the file '{folder / rows[0]['image']}'")
        count = len({row["statement"] for row in rows})
        found = f"NLVR {split}: {count:,} statements, {len(rows):,} pictures in '{folder}', by '{table}'"
        keys = ["id", "image", "text", "label", "group", "statement", "directory", "attributes"]
        super().__init__(columns_of(rows, keys), found, {"image": folder}, limit)


def _text(cells: dict[str, Any], key: str, where: str) -> str:
    """A cell that must be text. Raises DataError."""
    value = cells.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: '{key}' must be text, not {ascii(value)[:40]}")
    return value.strip()
