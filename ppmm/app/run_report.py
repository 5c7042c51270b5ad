"""The report of a training run, from what the run folder and the best checkpoint hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppmm.app.checkpoints import Loaded
from ppmm.app.evaluate import Mistake, Result
from ppmm.app.experiment import build_rows
from ppmm.app.report import GalleryItem, read_history, write_report
from ppmm.config import dump
from ppmm.engine.trainer import TrainState
from ppmm.types import Dataset

__all__ = ["report_run"]

CARDS = 48
"""Most confident mistakes that the gallery shows."""


def report_run(folder: Path, loaded: Loaded, state: TrainState, result: Result) -> None:
    """Write ``folder/report.html`` on the validation split."""
    rows = build_rows(loaded.config, "val")
    manifest = loaded.checkpoint.manifest
    facts = {
        "run": str(folder),
        "epochs": str(state.epoch),
        "steps": f"{state.step} (best at {state.best_step})",
        "training time": f"{state.seconds / 60:.1f} min",
        "parameters": f"{manifest['parameters']:,}",
        "versions": ", ".join(f"{name} {version}" for name, version in manifest["versions"].items()),
    }
    write_report(
        folder / "report.html",
        str(loaded.config["name"]),
        config_text=dump(loaded.config),
        history=read_history(folder / "history.jsonl"),
        figures={"val": result.evaluation.figures},
        details=result.evaluation.details,
        gallery=[_card(loaded, rows, mistake, result.target or "") for mistake in result.mistakes[:CARDS]],
        facts=facts,
    )


def _card(loaded: Loaded, rows: Dataset, mistake: Mistake, target: str) -> GalleryItem:
    row = rows[mistake.row]
    labels: list[str] = loaded.parts.labels()[target]
    fields: dict[str, Any] = {name: row[name] for name in loaded.parts.fields if name in row}
    kinds = {name: loaded.parts.fields[name].kind for name in fields}
    return GalleryItem(
        str(row["id"]), labels[mistake.true], labels[mistake.predicted], mistake.probability, fields, kinds
    )
