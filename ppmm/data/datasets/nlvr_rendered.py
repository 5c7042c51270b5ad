"""New pictures in the manner of NLVR with statements from templates: as many as one likes, without any file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ppmm.data.nlvr_attributes import attributes_of
from ppmm.data.nlvr_pictures import draw_picture
from ppmm.data.nlvr_scenes import draw_scene, vary_scene
from ppmm.data.nlvr_sentences import draw_sentence
from ppmm.data.nlvr_statements import Scene, Statement
from ppmm.errors import ConfigError
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["NlvrRendered"]

TRIES = 12
"""So many scenes are drawn for a pair, then so many changes made."""


@DATASETS.register("nlvr_rendered")
class NlvrRendered:
    """Scenes drawn at random, painted as NLVR's, each with a statement from `ppmm.data.nlvr_sentences`.

    Rows come in pairs: one statement, a picture for which it is true and one for which it is false, so that the text
    alone tells nothing. The statements are drawn at first and come in turn; the
    picture of a row is made when it is asked for, from ``seed`` and the row's number, so that rows cost no memory.
    For training: no picture, statement or description of the corpus is used.
    Keys: ``image`` (uint8 [100, 400, 3], RGB), ``text``, ``label``, ``attributes`` (as `Nlvr`), ``id``.

    Args:
        rows: how many there are; a sampler with ``rows`` takes some of them for each epoch.
        statements: how many are drawn; frequent ones come several times.
        towers: share of the statements that are about towers; the others are about scattered items.
        seed: of the draw.

    Raises:
        ConfigError: ``rows`` below 2, ``statements`` below 1, a share outside 0..1.
    """

    def __init__(self, rows: int = 100_000, statements: int = 3000, towers: float = 0.75, seed: int = 0) -> None:
        if rows < 2 or statements < 1 or not 0.0 <= towers <= 1.0:
            raise ConfigError(
                f"rows: {rows} must be at least 2, statements: {statements} at least 1, towers: {towers} within 0..1"
            )
        self.rows = rows
        self.seed = seed
        rng = np.random.default_rng([seed])
        self.statements: list[tuple[Statement, bool]] = []
        while len(self.statements) < statements:
            kind = bool(rng.random() < towers)
            statement = draw_sentence(rng, kind)
            if _pair(rng, statement, kind) is not None:
                self.statements.append((statement, kind))

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> Sample:
        """One row. Raises IndexError."""
        row = int(index)
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of {self.rows}")
        statement, scenes = self.pair(row // 2)
        scene = scenes[row % 2]
        label = "true" if statement.holds(scene) else "false"
        sample = {"id": f"rendered-{self.seed}-{row}", "image": draw_picture(scene), "text": statement.text}
        return {**sample, "label": label, "attributes": attributes_of(scene)}

    def column(self, key: str) -> Iterator[Any]:
        """All cells of one key; texts without painting a picture."""
        if key == "text":
            return (self.statements[row // 2 % len(self.statements)][0].text for row in range(self.rows))
        return (self[row].get(key) for row in range(self.rows))

    def pair(self, number: int) -> tuple[Statement, tuple[Scene, Scene]]:
        """A statement and two scenes, for one of which it holds."""
        statement, towers = self.statements[number % len(self.statements)]
        rng = np.random.default_rng([self.seed, number])
        while (scenes := _pair(rng, statement, towers)) is None:
            continue
        return statement, scenes


def _pair(rng: np.random.Generator, statement: Statement, towers: bool) -> tuple[Scene, Scene] | None:
    """Two scenes between which the statement's truth differs; None where `TRIES` scenes do not show both."""
    first = draw_scene(rng, towers)
    holds = statement.holds(first)
    for _ in range(TRIES):
        other = draw_scene(rng, towers)
        if statement.holds(other) != holds:
            return first, other
    for _ in range(TRIES):
        other = vary_scene(rng, other, towers)
        if statement.holds(other) != holds:
            return first, other
    return None
