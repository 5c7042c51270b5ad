"""A run folder as it lies there: finished, going on, broken off or diverged."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppmm.app.report import read_history
from ppmm.config import ConfigNode, loads
from ppmm.engine.divergence import DIVERGENCE
from ppmm.errors import DataError

__all__ = ["RunFolder", "name_apart", "read_run"]

CONFIG, HISTORY, METRICS = "config.yaml", "history.jsonl", "metrics.json"


@dataclass(frozen=True)
class RunFolder:
    """What a run has written so far.

    Attributes:
        folder: where.
        config: resolved.
        history: lines of ``history.jsonl``.
        manifest: of its best checkpoint, else of its last one; empty before there is one.
        metrics: figures by split and name, NaN where not finite: of the best epoch so far on ``val``, and of other
            splits where ``metrics_<split>.json`` tells them.
        best_step: of these figures on ``val``; None without any.
        status: ``finished``, ``going on``, ``diverged at step N`` or ``broken off``.
    """

    folder: Path
    config: ConfigNode
    history: list[dict[str, Any]]
    manifest: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    best_step: int | None
    status: str

    @property
    def step(self) -> int:
        """Optimizer steps done, as far as the history tells."""
        return max((int(line["step"]) for line in self.history if isinstance(line.get("step"), int)), default=0)

    @property
    def seconds(self) -> float | None:
        """Time in training steps."""
        known = [line["seconds"] for line in self.history if isinstance(line.get("seconds"), int | float)]
        return max(known, default=None)


def read_run(folder: str | Path) -> RunFolder:
    """Read a run folder. Raises DataError when there is none or a file in it is damaged."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"no run at {folder}: there is no such folder")
    if not (folder / CONFIG).is_file() or not (folder / HISTORY).is_file():
        inside = sorted(path.parent for path in folder.glob(f"*/{HISTORY}"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        raise DataError(f"{folder} is not a run: it has no {CONFIG} and {HISTORY}{hint}")
    config = loads((folder / CONFIG).read_text(encoding="utf-8"), file=str(folder / CONFIG))
    history = read_history(folder / HISTORY)
    metrics, best_step = _best_of(history, config)
    status = _status(folder, history)
    if status == "finished":
        document = _document(folder / METRICS)
        metrics, best_step = _numbers(document["metrics"]), document.get("best_step")
    by_split = {"val": metrics} if metrics else {}
    return RunFolder(folder, config, history, _manifest(folder), by_split | _evaluated(folder), best_step, status)


def name_apart(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, with as much of the path before it as tells it from the others.

    Raises DataError when a folder is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    for number, path in enumerate(parts):
        if path in parts[:number]:
            raise DataError(f"{folders[number]} is given twice; give each run once")
    names = []
    for path in parts:
        length = 1
        while sum(other[-length:] == path[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(part.strip("/") for part in path[-length:]))
    return names


def _best_of(history: Sequence[Mapping[str, Any]], config: ConfigNode) -> tuple[dict[str, float], int | None]:
    """Figures of the best evaluation so far, and its step."""
    trainer = config.get("trainer", {})
    monitor, sign = trainer.get("monitor", "accuracy"), 1 if trainer.get("mode", "max") == "max" else -1
    best: Mapping[str, Any] | None = None
    for line in history:
        if not isinstance(line.get("val"), Mapping):
            continue
        value = line["val"].get(monitor)
        known = None if best is None else best["val"].get(monitor)
        if best is None or (value is not None and (known is None or sign * value > sign * known)):
            best = line
    return ({}, None) if best is None else (_numbers(best["val"]), best.get("step"))


def _status(folder: Path, history: Sequence[Mapping[str, Any]]) -> str:
    if _is_locked(folder.parent / f".{folder.name}.lock"):
        return "going on"
    if (folder / DIVERGENCE).is_file():
        return f"diverged at step {_document(folder / DIVERGENCE).get('step')}"
    metrics = folder / METRICS
    # A run that was resumed after its end has a newer history.
    if metrics.is_file() and os.path.getmtime(metrics) >= os.path.getmtime(folder / HISTORY):
        return "finished"
    return "broken off" if history else "broken off before its first figures"


def _is_locked(path: Path) -> bool:
    """Whether a run holds its lock."""
    try:
        with path.open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _manifest(folder: Path) -> dict[str, Any]:
    for name in ("best", "last", "last.old"):
        path = folder / "checkpoints" / name / "manifest.json"
        if path.is_file():
            return _document(path)
    return {}


def _evaluated(folder: Path) -> dict[str, dict[str, float]]:
    """Figures by split that tools/eval.py has written beside, with all fields there."""
    found = {}
    for path in sorted(folder.glob("metrics_*.json")):
        document = _document(path)
        if isinstance(document.get("metrics"), Mapping) and not document.get("dropped"):
            found[str(document.get("split", path.stem.removeprefix("metrics_")))] = _numbers(document["metrics"])
    return found


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in figures.items()}


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a JSON object")
    return document
