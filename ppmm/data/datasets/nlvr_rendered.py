"""New pictures in the manner of NLVR with statements from templates: as many as one likes, without any file."""

from __future__ import annotations

import numpy as np

from ppmm.data.nlvr_attributes import attributes_of
from ppmm.data.nlvr_pictures import draw_picture
from ppmm.data.nlvr_scenes import draw_scene, vary_scene
from ppmm.data.nlvr_statements import Scene, Statement, draw_statement
from ppmm.errors import ConfigError
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["NlvrRendered"]

CHANGES = 12
"""A statement whose truth so many changes of a scene leave as it is, is not taken."""


@DATASETS.register("nlvr_rendered")
class NlvrRendered:
    """Scenes drawn at random, painted as NLVR's, each with a statement from `ppmm.data.nlvr_statements`.

    Rows come in pairs: one statement, a picture for which it is true and one for which it is false, the one made from
    the other by a few changes; so the text alone tells nothing. A row is made when it is asked for, from ``seed`` and
    its number, so ``rows`` costs nothing. For training: no picture, statement or description of the corpus is used.
    Keys: ``image`` (uint8 [100, 400, 3], RGB), ``text``, ``label``, ``attributes`` (as `Nlvr`), ``id``.

    Args:
        rows: how many there are; a sampler with ``rows`` takes some of them for each epoch.
        towers: share of the pictures that show towers; the others show scattered items.
        seed: of the draw.

    Raises:
        ConfigError: ``rows`` below 2, a share outside 0..1.
    """

    def __init__(self, rows: int = 1_000_000, towers: float = 0.75, seed: int = 0) -> None:
        if rows < 2 or not 0.0 <= towers <= 1.0:
            raise ConfigError(f"rows: {rows} must be at least 2, and towers: {towers} within 0..1")
        self.rows = rows
        self.towers = towers
        self.seed = seed

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

    def pair(self, number: int) -> tuple[Statement, tuple[Scene, Scene]]:
        """A statement and two scenes, for one of which it holds."""
        rng = np.random.default_rng([self.seed, number])
        towers = bool(rng.random() < self.towers)
        while True:
            statement = draw_statement(rng, towers)
            first = draw_scene(rng, towers)
            other = first
            for _ in range(CHANGES):
                other = vary_scene(rng, other, towers)
                if statement.holds(other) != statement.holds(first):
                    return statement, (first, other)
