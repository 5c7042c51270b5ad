"""tools/crossval.py: K runs, each validated on another fold of the training rows, and one summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppmm.app.ablate import cached_results, run_grid
from ppmm.app.crossval_summary import summarise_folds, write_folds
from ppmm.app.experiment import build_rows, open_experiment
from ppmm.app.grid import Grid
from ppmm.config import ConfigNode
from ppmm.config.interpolate import escape
from ppmm.config.node import plain
from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = ["crossval", "fold_grid"]


def crossval(
    path: str,
    overrides: Sequence[str] = (),
    *,
    folds: int = 5,
    group_by: str | None = None,
    stratify: str | None = None,
    with_val: bool = False,
    splits: Sequence[str] = ("val",),
    seed: int = 0,
    out: str = "output/crossval",
    jobs: int = 1,
    fresh: bool = False,
) -> dict[str, Any]:
    """Train and evaluate every fold once, print the table, and return the summary; started again it goes on.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        folds: how many.
        group_by: a column; rows that are equal in it are in one fold.
        stratify: a target or column whose classes every fold has in about the same shares.
        with_val: deal the rows of ``data.val``, too.
        splits: what is evaluated: ``val`` is the fold, others are as in the YAML.
        seed: another seed deals other rows.
        out: folder of all cross-validations.
        jobs: folds trained at the same time.
        fresh: train anew what is done.

    Raises:
        ConfigError, DataError: a wrong YAML or argument, or fewer rows (or groups) than folds.
        PpmmError: a fold failed; the others are kept.
    """
    grid = fold_grid(
        path, overrides, folds=folds, group_by=group_by, stratify=stratify, with_val=with_val, splits=splits, seed=seed
    )
    _see_that_it_can_be_dealt(grid)
    run_grid(grid, Path(out), jobs=jobs, fresh=fresh)
    summary = summarise_folds(grid, cached_results(grid, Path(out)))
    print(write_folds(Path(out) / grid.name, summary))
    print(f"table, figures and picture: {Path(out) / grid.name}/summary.{{md,json,svg}}")
    return summary


def fold_grid(
    path: str,
    overrides: Sequence[str] = (),
    *,
    folds: int,
    group_by: str | None = None,
    stratify: str | None = None,
    with_val: bool = False,
    splits: Sequence[str] = ("val",),
    seed: int = 0,
) -> Grid:
    """A grid with one axis, ``fold``. Raises ConfigError."""
    config = open_experiment(path, overrides)
    if folds < 2:
        raise ConfigError(f"--folds {folds}: must be at least 2")
    for split in splits:
        if split not in config["data"]:
            raise ConfigError(f"--splits {split}: no such split in {path}{did_you_mean(split, config['data'])}")
    data = plain(config["data"])
    of = {"name": "concat", "parts": [data["train"], data["val"]]} if with_val else data["train"]
    common = {"name": "fold", "of": of, "folds": folds, "seed": seed}
    if group_by is not None:
        common["group_by"] = _column(config, group_by)
    if stratify is not None:
        common["stratify"] = _column(config, stratify)
    axis = {}
    for fold in range(folds):
        entries = {part: {**common, "fold": fold, "part": part} for part in ("train", "val")}
        axis[str(fold)] = [f"data.{part}={_flow(entry)}" for part, entry in entries.items()]
    monitor = config["trainer"].get("monitor", "accuracy")
    dealt = [f"{folds} folds of {_dealt_rows(with_val)}"]
    dealt += [f"whole groups of '{group_by}'"] if group_by else []
    dealt += [f"stratified by '{stratify}'"] if stratify else []
    return Grid(
        name=f"{config['name']}-{folds}fold", axes={"fold": axis}, config=path, override=list(overrides),
        title=f"Cross-validation of {config['name']}", text=f"{', '.join(dealt)}; seed {seed}.", over="fold",
        splits=list(splits), figures=[monitor],
    )  # fmt: skip


def _dealt_rows(with_val: bool) -> str:
    """What is dealt, in words."""
    return "the rows of train and val" if with_val else "the rows of train"


def _column(config: ConfigNode, name: str) -> str:
    """A target's column where ``name`` is a target, else ``name`` itself."""
    target = config["targets"].get(name)
    return str(target.get("column") or name) if isinstance(target, ConfigNode) else name


def _flow(entry: Any) -> str:
    """A value on one line of YAML, for an override; JSON is YAML."""
    return escape(json.dumps(entry, ensure_ascii=False, allow_nan=False, default=str))


def _see_that_it_can_be_dealt(grid: Grid) -> None:
    """Deal the first fold here, so that what cannot be dealt is told before K processes fail at it."""
    build_rows(open_experiment(str(grid.config), [*grid.override, *grid.axes["fold"]["0"]]), "train")
