"""Robustness of cells of a grid, measured once and kept: the sections of docs/results.md beside the grids' tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ppmm.app.document import write_document
from ppmm.app.grid import cells_of, open_grid
from ppmm.app.robustness import LEVELS, measure_robustness, robustness_table
from ppmm.config import build, check, load
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import CheckpointError, ConfigError
from ppmm.registry import did_you_mean

__all__ = ["RobustnessOf", "measured", "open_robustness", "robustness_entry", "robustness_section"]

RESULT = "result.json"


@dataclass(frozen=True)
class RobustnessOf:
    """A YAML under configs/_robustness_.

    Args:
        name: of the folder under ``output`` and of the entry in the results.
        grid: YAML of the grid that trains the model.
        cell: name of the model's folder in the grid (``gated-0``).
        baseline: likewise, of what effective robustness is measured against.
        title: heading of its section.
        text: what a reader of the table has to know.
        split: key under ``data:`` of the experiment.
        metric: the figure.
        rows: at most so many rows, spread over the split.
        levels: of the damage.
    """

    name: str
    grid: str
    cell: str
    baseline: str | None = None
    title: str = ""
    text: str = ""
    split: str = "test"
    metric: str = "accuracy"
    rows: int | None = None
    levels: list[float] = field(default_factory=lambda: list(LEVELS))


def open_robustness(path: str | Path) -> RobustnessOf:
    """Read and check a YAML. Raises ConfigError, also where the grid has no such cell."""
    node = load(path)
    check(node, RobustnessOf)
    wanted: RobustnessOf = build(node, RobustnessOf)
    slugs = [cell.slug for cell in cells_of(open_grid(wanted.grid))]
    for key, slug in (("cell", wanted.cell), ("baseline", wanted.baseline)):
        if slug is not None and slug not in slugs:
            raise ConfigError(f"{node.place(key)} {key}: {wanted.grid} has no cell '{slug}'{did_you_mean(slug, slugs)}")
    return wanted


def measured(wanted: RobustnessOf, out: Path, cached: bool = False) -> dict[str, Any] | None:
    """The figures (see `measure_robustness`), from an earlier measurement of the same checkpoints where there is one.

    Args:
        out: folder of all grids.
        cached: measure nothing.

    Returns None where a checkpoint is not there, or nothing may be measured that is not.
    """
    folder = out / wanted.name
    best, baseline = (_checkpoint(wanted, out, slug) for slug in (wanted.cell, wanted.baseline))
    try:
        key = _key(wanted, [path for path in (best, baseline) if path is not None])
    except CheckpointError:
        return None
    try:
        kept = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    if kept.get("key") == key:
        found: dict[str, Any] = kept["document"]
        return found
    if cached:
        return None
    document = measure_robustness(
        str(best), split=wanted.split, metric=wanted.metric, rows=wanted.rows, levels=wanted.levels,
        baseline=None if baseline is None else str(baseline), out=str(folder),
    )  # fmt: skip
    write_document(folder / RESULT, {"key": key, "document": document})
    return document


def robustness_section(wanted: RobustnessOf, document: Mapping[str, Any] | None) -> list[str]:
    """The lines of its section of the page."""
    standard = Path("output/grids")
    words = [f"python tools/robustness.py -w {_checkpoint(wanted, standard, wanted.cell)}"]
    if wanted.baseline is not None:
        words.append(f"--baseline {_checkpoint(wanted, standard, wanted.baseline)}")
    words += [f"--split {wanted.split}", f"--metric {wanted.metric}"]
    words += [] if wanted.rows is None else [f"--rows {wanted.rows}"]
    if wanted.levels != list(LEVELS):
        words.append(f"--levels {' '.join(f'{level:g}' for level in wanted.levels)}")
    table = "Not run yet." if document is None else robustness_table(document)
    return [f"## {wanted.title or wanted.name}", "", wanted.text.strip(), "", f"`{' '.join(words)}`", "", table]


def robustness_entry(wanted: RobustnessOf, document: Mapping[str, Any]) -> dict[str, Any]:
    """What results.json keeps; no run was trained for it, so ``rows`` is empty."""
    told = {key: value for key, value in document.items() if key not in ("checkpoint", "baseline")}
    against = {key: value for key, value in document.get("baseline", {}).items() if key != "checkpoint"}
    return {
        "name": wanted.name, "title": wanted.title, "text": wanted.text, "rows": [], "grid": wanted.grid,
        "cell": wanted.cell, "robustness": told, "baseline": {"cell": wanted.baseline, **against},
    }  # fmt: skip


def _checkpoint(wanted: RobustnessOf, out: Path, slug: str | None) -> Path | None:
    return None if slug is None else out / open_grid(wanted.grid).name / slug / "checkpoints" / "best"


def _key(wanted: RobustnessOf, checkpoints: list[Path]) -> str:
    """Changes when a checkpoint or anything that is measured does. Raises CheckpointError where one is not there."""
    settings = {key: value for key, value in asdict(wanted).items() if key not in ("title", "text")}
    files = [read_checkpoint(path).manifest["files"] for path in checkpoints]
    text = json.dumps([settings, [entry["model.safetensors"] for entry in files]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
