"""A grid of experiments from one YAML: which configs, with which overrides, over which axes."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ppmm.config import ConfigNode, build, check, dump, load
from ppmm.config.schema import is_segment
from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = ["Cell", "Grid", "Option", "cells_of", "config_key", "open_grid"]

RUN_ONLY = ("name", "output")
"""Keys of an experiment that say where it writes, not what it computes."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One value of an axis.

    Args:
        config: another YAML than the grid's.
        override: ``a.b.c=value`` each.
    """

    config: str | None = None
    override: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Grid:
    """A YAML under configs/_grids_.

    Args:
        name: of the folder under ``output`` and of the entry in the results.
        axes: each either a list of values of a key (``seed: [0, 1, 2]``), or a mapping of labels to overrides
            (``gated: ['model.fusion={name: gated}']``) or to ``{config: OTHER.yaml, override: [...]}``.
        config: the experiment that the axes change.
        title: heading of its table.
        text: what a reader of the table has to know.
        override: ``a.b.c=value`` for every cell.
        over: the axis over which mean and spread are taken; ``seed`` where there is one.
        splits: what is evaluated.
        figures: metrics that the table shows; all others are kept in the JSON.
        subsets: evaluate every non-empty subset of the fields, too.
        latency: export the best checkpoint and measure the bundle on this machine.
    """

    name: str
    axes: dict[str, Any]
    config: str | None = None
    title: str = ""
    text: str = ""
    override: list[str] = dataclasses.field(default_factory=list)
    over: str = "seed"
    splits: list[str] = dataclasses.field(default_factory=lambda: ["test"])
    figures: list[str] = dataclasses.field(default_factory=lambda: ["accuracy"])
    subsets: bool = False
    latency: bool = False


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run.

    Args:
        labels: of its options, by axis.
        config: the YAML.
        override: ``a.b.c=value`` each.
        slug: name of its folder.
        config_key: changes when anything that is trained does.
        key: changes when that, or what is evaluated, does.
    """

    labels: dict[str, str]
    config: str
    override: list[str]
    slug: str
    config_key: str
    key: str


def open_grid(path: str | Path) -> Grid:
    """Read and check a grid. Raises ConfigError."""
    node = load(path)
    check(node, Grid)
    grid: Grid = build(node, Grid)
    problems = []
    if not is_segment(grid.name):
        problems.append(f"{node.place('name')} name: a folder is named after it; letters, digits, '_' and '-' only")
    if not grid.axes:
        problems.append(f"{node.place('axes')} axes: must name at least one, such as seed: [0, 1, 2]")
    if not grid.splits or not grid.figures:
        problems.append(f"{path}: splits and figures must not be empty")
    if grid.over not in (*grid.axes, "seed"):
        problems.append(f"{node.place('over')} over: no axis '{grid.over}'{did_you_mean(grid.over, grid.axes)}")
    for axis in grid.axes:
        try:
            _options(axis, node["axes"][axis])
        except ConfigError as error:
            problems.extend(f"{node['axes'].place(axis)} {problem}" for problem in error.problems)
    if problems:
        raise ConfigError(problems)
    return grid


def cells_of(grid: Grid) -> list[Cell]:
    """Every combination of the axes' options, the last axis running fastest. Raises ConfigError for a bad one."""
    axes = {axis: _options(axis, value) for axis, value in grid.axes.items()}
    problems: list[str] = []
    cells = []
    for labels in itertools.product(*axes.values()):
        chosen = [axes[axis][label] for axis, label in zip(axes, labels, strict=True)]
        try:
            cells.append(_cell(grid, dict(zip(axes, labels, strict=True)), chosen))
        except ConfigError as error:
            problems.extend(f"{grid.name} [{' '.join(labels)}]: {problem}" for problem in error.problems)
    slugs = [cell.slug for cell in cells]
    problems.extend(f"{grid.name}: two cells would write to '{slug}'" for slug in _repeated(slugs))
    if problems:
        raise ConfigError(problems)
    return cells


def _repeated(names: Sequence[str]) -> Iterator[str]:
    yield from sorted({name for name in names if names.count(name) > 1})


def _cell(grid: Grid, labels: dict[str, str], options: Sequence[Option]) -> Cell:
    named = [option.config for option in options if option.config is not None]
    if grid.config is not None and not named:
        named = [grid.config]
    if len(named) != 1:
        raise ConfigError("needs one config: give it as 'config:' of the grid, or in the options of one axis")
    override = [*grid.override, *itertools.chain.from_iterable(option.override for option in options)]
    config = load(named[0], override)
    there = config.get("data")
    for split in grid.splits:
        if isinstance(there, ConfigNode) and split not in there:
            raise ConfigError(f"splits: {named[0]} has no data.{split}{did_you_mean(split, there)}")
    slug = "-".join(_segment(label) for label in labels.values())
    key = config_key(config)
    return Cell(labels, named[0], override, slug, key, _hash(f"{key} {grid.splits} {grid.subsets} {grid.latency}"))


def _segment(label: str) -> str:
    """``label`` as a part of a folder's name; of one in another script a hash stands for it."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", label).strip("_.") or f"x{_hash(label)[:6]}"


def config_key(config: ConfigNode) -> str:
    """A hash of everything in a resolved YAML but where it writes."""
    return _hash(dump({key: value for key, value in config.items() if key not in RUN_ONLY}))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _options(axis: str, value: Any) -> dict[str, Option]:
    """Label -> option of an axis as it stands in the YAML."""
    if isinstance(value, list) and value:
        twice = next(_repeated([str(item) for item in value]), None)
        if twice is not None:
            raise ConfigError(f"axes.{axis}: {twice} is listed twice")
        return {str(item): Option(override=[f"{axis}={item}"]) for item in value}
    if not isinstance(value, ConfigNode | dict) or not value:
        raise ConfigError(f"axes.{axis}: must be a list of values of the key '{axis}', or a mapping of labels")
    return {str(label): _option(f"axes.{axis}.{label}", item) for label, item in value.items()}


def _option(place: str, item: Any) -> Option:
    if isinstance(item, str):
        return Option(override=[item])
    if isinstance(item, list) and all(isinstance(entry, str) for entry in item):
        return Option(override=list(item))
    if isinstance(item, ConfigNode | dict) and set(item) <= {"config", "override"}:
        config, override = item.get("config"), item.get("override", [])
        if isinstance(config, str | None) and isinstance(override, list | str):
            override = [override] if isinstance(override, str) else override
            if all(isinstance(entry, str) for entry in override):
                return Option(config, list(override))
    raise ConfigError(f"{place}: must be overrides (a.b=value, or a list), or {{config: X.yaml, override: [...]}}")
