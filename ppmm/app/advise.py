"""tools/advise.py: which of the measured models fits a table of data and the limits of a machine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.results import COMPRESSION
from ppmm.config import load
from ppmm.data.datasets.manifest import Manifest
from ppmm.errors import ConfigError, DataError
from ppmm.registry import FIELDS

__all__ = ["Candidate", "Collection", "advise", "look_at", "rank"]

SUFFIXES = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"),
    "audio": (".wav", ".flac", ".ogg", ".mp3"),
}
LOOKED_AT = 500
MANY_LABELS = 200
SENTENCE, FEW_SENTENCES = 3, 10
"""Words of a sentence at the least, and how many different ones are more than names of classes."""
LOWER_IS_BETTER = ("loss", "mae", "rmse", "ece", "_rank")
"""Ends of the names of figures that are errors."""


@dataclass(frozen=True)
class Collection:
    """What a table seems to hold: ``kinds`` column -> image | audio | text | numeric | label."""

    rows: int
    kinds: dict[str, str]

    @property
    def inputs(self) -> set[str]:
        return {kind for kind in self.kinds.values() if kind != "label"}

    @property
    def task(self) -> str:
        """Classification where a column looks like labels; retrieval between two kinds of input otherwise."""
        return "classification" if "label" in self.kinds.values() or len(self.inputs) < 2 else "retrieval"


@dataclass(frozen=True)
class Candidate:
    """A measured run of the zoo.

    Attributes:
        name: grid and labels.
        command: that trains it.
        task: classification or retrieval.
        kinds: of input that it takes.
        figure: name and mean of its first figure on its own test data.
        latency_ms: median of one answer from file to label, batch 1, one thread.
        memory_mb: that a process grows by.
        minutes: of training.
    """

    name: str
    command: str
    task: str
    kinds: frozenset[str]
    figure: tuple[str, float]
    latency_ms: float
    memory_mb: float
    parameters: int
    minutes: float


def advise(
    data: str, *, latency: float | None = None, memory: float | None = None, task: str | None = None,
    results: str = "docs/results.json", top: int = 5,
) -> list[Candidate]:  # fmt: skip
    """Print what the table holds and the models that fit, best first; returns them.

    Args:
        data: manifest.
        latency: at most so many ms for one answer.
        memory: at most so many MB.
        task: classification or retrieval, when the guess is wrong.
        results: figures that `make results` wrote.
        top: how many to show.

    Raises DataError when nothing fits, saying what the nearest would need.
    """
    for name, limit in (("latency", latency), ("memory", memory)):
        if limit is not None and not limit > 0:
            raise ConfigError(f"--{name} must be above 0, got {limit:g}")
    collection = look_at(Manifest(data, files=[]))
    held = ", ".join(f"{column} ({kind})" for column, kind in collection.kinds.items())
    wanted = task or collection.task
    print(
        f"{data}: {collection.rows:,} rows; {held}\ntask: {wanted}"
        + ("" if task else " (guessed; --task says otherwise)")
    )
    zoo = candidates(Path(results))
    fitting = rank(zoo, collection, wanted, latency, memory)
    if not fitting:
        raise DataError(_nearest(zoo, collection, wanted))
    print(table(fitting[:top]))
    print(
        "figure: on each model's own test data, so compare it within one data set only; ms and MB: on the machine "
        "that wrote the results (batch 1, one thread, preprocessing included)"
    )
    return fitting[:top]


def look_at(rows: Any) -> Collection:
    """Guess the kind of each column from up to 500 rows, spread over the table. Raises DataError for an empty one."""
    if not len(rows):
        raise DataError("the table has no rows")
    picked = np.unique(np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).astype(int))
    columns: dict[str, list[Any]] = {}
    for index in picked:
        for column, value in rows[int(index)].items():
            if column != "id":
                columns.setdefault(column, []).append(value)
    kinds = {column: kind for column, values in columns.items() if (kind := _kind(values)) is not None}
    return Collection(len(rows), kinds)


def _kind(values: Sequence[Any]) -> str | None:
    """Kind of a column; None for one that is an identifier, or of another type."""
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    if not flat or any(isinstance(value, dict) for value in flat):
        return None
    distinct = len({str(value) for value in flat})
    if all(isinstance(value, int | float) for value in flat):
        whole = all(float(value).is_integer() for value in flat)
        return "label" if whole and distinct <= max(2, min(MANY_LABELS, len(flat) // 4)) else "numeric"
    texts = [str(value) for value in flat]
    for kind, suffixes in SUFFIXES.items():
        if all(text.lower().endswith(suffixes) for text in texts):
            return kind
    words = float(np.mean([max(len(text.split()), len(text) // 3 if not text.isascii() else 1) for text in texts]))
    sentences = words >= SENTENCE and distinct > FEW_SENTENCES  # questions may repeat; names of classes are short
    if distinct <= max(2, min(MANY_LABELS, len(flat) // 4)) and not sentences:
        return "label"
    return "text" if words >= 2 else None


def candidates(path: Path) -> list[Candidate]:
    """The measured runs of docs/results.json. Raises DataError where there are none."""
    try:
        grids: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        trained = {name: grid for name, grid in grids.items() if name != COMPRESSION}
        rows = [(name, grid, row) for name, grid in trained.items() for row in grid["rows"] if "latency" in row]
        found = [_candidate(name, grid, row) for name, grid, row in rows if _shown(grid, row) is not None]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{path} cannot be used: {error}; write it with make results") from error
    if not found:
        raise DataError(f"{path} has no run with a measured latency; write it with make results")
    return found


def _shown(grid: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """The first figure of the grid that this run measured and that is a number."""
    wanted = (key for key in row["figures"] if key.split(" ", 1)[1] in grid["figures"])
    return next((key for key in wanted if math.isfinite(row["figures"][key]["mean"])), None)


def _candidate(name: str, grid: Mapping[str, Any], row: Mapping[str, Any]) -> Candidate:
    config = load(row["config"], row["override"])
    kinds = frozenset(str(getattr(FIELDS.get(node["name"]), "kind", "")) for node in config["fields"].values())
    figure = _shown(grid, row)
    assert figure is not None
    override = " ".join(f"'{item}'" for item in row["override"])
    return Candidate(
        name=" ".join([name, *row["labels"].values()]),
        command=f"python tools/train.py -c {row['config']}" + (f" -o {override}" if override else ""),
        task="classification" if "target" in config["objective"] else "retrieval",
        kinds=kinds,
        figure=(figure, float(row["figures"][figure]["mean"])),
        latency_ms=float(row["latency"]["p50_ms"]),
        memory_mb=float(row["latency"]["memory_mb"]),
        parameters=int(row["parameters"]),
        minutes=float(row["seconds"]) / 60,
    )


def rank(
    zoo: Sequence[Candidate], collection: Collection, task: str, latency: float | None, memory: float | None
) -> list[Candidate]:
    """Those of the task that need no kind of input which the table lacks and stay within the limits.

    More of the table's kinds first, then the better figure, then the faster one.
    """
    fitting = [
        candidate
        for candidate in zoo
        if candidate.task == task
        and candidate.kinds <= collection.inputs
        and (latency is None or candidate.latency_ms <= latency)
        and (memory is None or candidate.memory_mb <= memory)
    ]
    return sorted(fitting, key=lambda one: (-len(one.kinds), _cost(*one.figure), one.latency_ms))


def _cost(figure: str, value: float) -> float:
    return value if figure.endswith(LOWER_IS_BETTER) else -value


def _nearest(zoo: Sequence[Candidate], collection: Collection, task: str) -> str:
    usable = rank(zoo, collection, task, None, None)
    if not usable:
        kinds = ", ".join(sorted(collection.inputs)) or "no input"
        there = "; ".join(sorted({f"{one.task} of {'+'.join(sorted(one.kinds))}" for one in zoo}))
        return f"no measured model does {task} with {kinds}; there is {there}"
    fastest, smallest = min(one.latency_ms for one in usable), min(one.memory_mb for one in usable)
    return (
        f"no measured model stays within the limits: the fastest takes {fastest:.1f} ms, the smallest {smallest:.0f} MB"
    )


def table(found: Sequence[Candidate]) -> str:
    """A Markdown table, with the command of each."""
    lines = ["| model | inputs | figure | ms | MB | parameters | train min |", "|---|---|---|---|---|---|---|"]
    for one in found:
        name, value = one.figure
        lines.append(
            f"| {one.name} | {'+'.join(sorted(one.kinds))} | {name} {value:.3f} | {one.latency_ms:.1f} | "
            f"{one.memory_mb:.0f} | {one.parameters:,} | {one.minutes:.1f} |"
        )
    return "\n".join([*lines, "", *(f"{number}. {one.command}" for number, one in enumerate(found, 1))])
