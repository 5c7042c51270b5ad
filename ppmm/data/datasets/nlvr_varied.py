"""NLVR's statements with pictures painted anew, in other colours and shapes: more to learn from few sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ppmm.data.layout import Layout
from ppmm.data.nlvr_attributes import attributes_of
from ppmm.data.nlvr_pictures import draw_picture
from ppmm.data.nlvr_statements import Scene, read_scene
from ppmm.data.nlvr_variations import vary_statement
from ppmm.data.splits import check_choice
from ppmm.data.table import read_table
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["NlvrVaried"]

SPLITS = ("train", "dev", "test")


@DATASETS.register("nlvr_varied")
class NlvrVaried:
    """People's statements of some directories of `Nlvr`, varied together with their scenes (`vary_statement`).

    Row ``r`` is a variation of statement ``r`` modulo their number, made when it is asked for from ``seed`` and ``r``.
    For training: nothing but the statements and descriptions of the named directories is used, and no picture file.
    Keys: ``image`` (uint8 [100, 400, 3], RGB), ``text``, ``label``, ``attributes`` (as `Nlvr`), ``id``.

    Args:
        root, split, directories: as `Nlvr`.
        variations: of each statement.
        seed: of the draw.

    Raises:
        ConfigError: an unknown split, ``variations`` below 1.
        DataError: files that are missing or damaged, no statement in the directories.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "dev", "test"],
        directories: list[int] | None = None,
        variations: int = 36,
        seed: int = 0,
    ) -> None:
        check_choice("split", split, SPLITS)
        if variations < 1:
            raise ConfigError(f"variations: {variations} must be at least 1")
        layout = Layout("NLVR", "lil-lab/nlvr (Cornell Natural Language Visual Reasoning)", root)
        table = layout.file(f"statements of {split}", f"{split}/{split}.json", f"nlvr/{split}/{split}.json")
        wanted = None if directories is None else {str(number) for number in directories}
        self.statements: list[tuple[str, str, Scene]] = []
        for line, cells in read_table(table, ".jsonl"):
            where = f"{table}:{line}"
            text, label = cells.get("sentence"), cells.get("label")
            if wanted is not None and cells.get("directory") not in wanted:
                continue
            if not isinstance(text, str) or label not in ("true", "false"):
                raise DataError(f"{where}: needs a sentence and a label that is true or false")
            self.statements.append((text.strip(), label, read_scene(cells.get("structured_rep"), where)))
        if not self.statements:
            raise DataError(f"nlvr_varied: no statement of '{table}' is in the directories {directories}")
        self.split = split
        self.variations = variations
        self.seed = seed

    def __len__(self) -> int:
        return self.variations * len(self.statements)

    def __getitem__(self, index: int) -> Sample:
        """One row. Raises IndexError."""
        row = int(index)
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        text, scene = self.varied(row)
        label = self.statements[row % len(self.statements)][1]
        sample = {"id": f"varied-{self.split}-{row}", "image": draw_picture(scene), "text": text, "label": label}
        return {**sample, "attributes": attributes_of(scene)}

    def column(self, key: str) -> Iterator[Any]:
        """All cells of one key; texts without painting a picture."""
        if key == "text":
            return (self.varied(row)[0] for row in range(len(self)))
        return (self[row].get(key) for row in range(len(self)))

    def varied(self, row: int) -> tuple[str, Scene]:
        """The statement and the scene of a row."""
        text, _, scene = self.statements[row % len(self.statements)]
        return vary_statement(np.random.default_rng([self.seed, row]), text, scene)
