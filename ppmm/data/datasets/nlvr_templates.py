"""NLVR's pictures with statements from templates: more to learn from, where only few sentences of people are there."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ppmm.data.layout import Layout, is_file
from ppmm.data.nlvr_attributes import attributes_of
from ppmm.data.nlvr_statements import Scene, Statement, draw_statement, is_tower_scene, read_scene
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice
from ppmm.data.table import read_table
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS

__all__ = ["NlvrTemplates"]

SPLITS = ("train", "dev", "test")
PERMUTATIONS = 6


@DATASETS.register("nlvr_templates")
class NlvrTemplates(Reader):
    """Statements from templates (`ppmm.data.nlvr_statements`) on the pictures of some directories of `Nlvr`.

    Whether one holds is worked out from ``structured_rep``, the corpus's own description of each picture. Each comes
    with as many pictures for which it is true as with pictures for which it is false, so that the text alone tells
    nothing. For training: nothing but the pictures and descriptions of the named directories is used.
    Keys: ``image``, ``text``, ``label``, ``attributes`` (as `Nlvr`), ``id``; a row has no ``statement``.

    Args:
        root, split, directories: as `Nlvr`.
        statements: how many are drawn; frequent ones come several times, each time with other pictures.
        pictures: true ones of each, and as many false ones; a statement for which there are fewer is not taken.
        seed: of the draw.
        limit: take only the first so many rows.

    Raises:
        ConfigError: an unknown split, a number below 1.
        DataError: files that are missing or damaged; pictures that do not suffice for so many statements.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "dev", "test"],
        directories: list[int] | None = None,
        statements: int = 3000,
        pictures: int = 3,
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, SPLITS)
        if min(statements, pictures) < 1:
            raise ConfigError(f"statements: {statements} and pictures: {pictures} must be at least 1")
        layout = Layout("NLVR", "lil-lab/nlvr (Cornell Natural Language Visual Reasoning)", root)
        table = layout.file(f"statements of {split}", f"{split}/{split}.json", f"nlvr/{split}/{split}.json")
        wanted = None if directories is None else {str(number) for number in directories}
        scenes: dict[str, Scene] = {}
        for line, cells in read_table(table, ".jsonl"):
            if wanted is None or cells.get("directory") in wanted:
                name = f"{cells.get('directory')}/{split}-{cells.get('identifier')}"
                scenes[name] = read_scene(cells.get("structured_rep"), f"{table}:{line}")
        rows = _rows(scenes, statements, pictures, np.random.default_rng(seed))
        folder = table.parent / "images"
        if not is_file(folder / rows[0]["image"]):
            raise layout.error(f"no pictures: looked for the file '{folder / rows[0]['image']}'")
        found = f"NLVR {split}: {statements:,} statements from templates on {len(rows):,} pictures in '{folder}'"
        super().__init__(
            columns_of(rows, ["id", "image", "text", "label", "attributes"]), found, {"image": folder}, limit
        )


def _rows(scenes: dict[str, Scene], statements: int, pictures: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """As many true as false rows of each statement. Raises DataError."""
    kinds = {towers: [name for name in scenes if is_tower_scene(scenes[name]) == towers] for towers in (True, False)}
    kinds = {towers: names for towers, names in kinds.items() if len(names) >= 2 * pictures}
    rows: list[dict[str, Any]] = []
    tries = taken = 0
    while taken < statements:
        tries += 1
        if not kinds or tries > 100 * statements:
            raise DataError(
                f"nlvr_templates: {len(scenes):,} pictures suffice for {taken:,} of {statements:,} statements with "
                f"{pictures} true and {pictures} false ones each; lower statements or pictures, or add directories"
            )
        towers = list(kinds)[tries % len(kinds)]
        statement = draw_statement(rng, towers)
        chosen = _choose(statement, scenes, kinds[towers], pictures, rng)
        if chosen is None:
            continue
        taken += 1
        for name, label in chosen:
            picture = f"{name}-{int(rng.integers(PERMUTATIONS))}.png"
            row = {"id": f"template-{len(rows)}", "image": picture, "text": statement.text, "label": label}
            rows.append(row | {"attributes": attributes_of(scenes[name])})
    return rows


def _choose(
    statement: Statement, scenes: dict[str, Scene], names: list[str], pictures: int, rng: np.random.Generator
) -> list[tuple[str, str]] | None:
    """(picture, label), half of them true; None where there are too few of either."""
    holds = np.asarray([statement.holds(scenes[name]) for name in names])
    found = []
    for label, rows in (("true", np.flatnonzero(holds)), ("false", np.flatnonzero(~holds))):
        if len(rows) < pictures:
            return None
        found += [(names[row], label) for row in rng.choice(rows, pictures, replace=False).tolist()]
    return found
