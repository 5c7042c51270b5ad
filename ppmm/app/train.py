"""tools/train.py: a config in, a run folder with checkpoints, figures and a report out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ppmm.app.checkpoints import load_checkpoint, make_saver, restore_training
from ppmm.app.evaluate import evaluate_rows
from ppmm.app.experiment import (
    Parts,
    build_metrics,
    build_model,
    build_objective,
    build_parts,
    build_rows,
    make_loader,
    open_experiment,
    set_device,
)  # fmt: skip
from ppmm.app.run_report import report_run
from ppmm.config import ConfigNode, TrainerSection, build, changed_keys, dump, loads
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.engine.evaluator import evaluate
from ppmm.engine.history import History
from ppmm.engine.hooks import Checkpoints
from ppmm.engine.progress import Progress
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Trainer
from ppmm.errors import CheckpointError, ConfigError
from ppmm.types import Hook, Optimizer, Schedule

__all__ = ["run_folder", "train"]

FREE_ON_RESUME = (
    "device", "threads", "output", "trainer", "hooks", "loader.workers", "loader.max_bad_rows", "metrics", "export",
    "data.test",
)  # fmt: skip
"""Keys whose change does not change what the run so far has computed."""


def train(
    path: str, overrides: Sequence[str] = (), *, resume: bool = False, overwrite: bool = False
) -> dict[str, float]:
    """Train as the YAML says; returns the figures of the best epoch on the validation split.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        resume: go on from ``checkpoints/last`` of the run folder.
        overwrite: delete a run that is already there.
    """
    config = open_experiment(path, overrides)
    set_device(config)
    folder = run_folder(config)
    _prepare(folder, config, resume, overwrite)
    rows = build_rows(config, "train")
    parts = build_parts(config, rows)
    trainer = make_trainer(config, parts, rows, folder)
    if resume:
        restore_training(folder / "checkpoints" / "last", trainer)
        print(f"resuming at step {trainer.state.step} of {trainer.total_steps}", file=sys.stderr)
    trainer.fit()
    return _finish(folder, trainer)


def run_folder(config: ConfigNode) -> Path:
    """Where the run writes."""
    return Path(config.get("output", "output")) / config["name"]


def make_trainer(config: ConfigNode, parts: Parts, rows: Any, folder: Path) -> Trainer:
    """Everything wired for ``fit``; the run folder exists."""
    import paddle

    seed = config.get("seed", 0)
    section: TrainerSection = build(config["trainer"], TrainerSection)
    paddle.seed(seed)
    model = build_model(config, parts)
    objective = build_objective(config, parts, rows)
    metrics = build_metrics(config, parts)
    loader = make_loader(config, rows, parts, training=True, folder=folder)
    val = make_loader(config, build_rows(config, "val"), parts, folder=folder)
    parameters = sum(parameter.size for parameter in model.parameters())
    save = make_saver(folder / "checkpoints", config, parts, {"parameters": int(parameters)})
    hooks: list[Hook] = [
        *build(config.get("hooks", []), list[Hook]),
        History(folder / "history.jsonl", section.log_every),
    ]

    def validate(poll: Callable[[], None]) -> dict[str, float]:
        return evaluate(model, val.epoch(), metrics, objective, lambda batch, outputs: poll()).figures

    step = TrainStep(model, objective, None, None, seed)
    trainer = Trainer(
        step, loader, validate, [*hooks, Progress(), Checkpoints(save, section.save_every)], epochs=section.epochs,
        max_steps=section.max_steps, accumulate=section.accumulate, monitor=section.monitor, mode=section.mode,
        folder=folder,
    )  # fmt: skip
    recipe: Optimizer = build(config["optimizer"], Optimizer)
    schedule: Schedule = build(config["schedule"], Schedule)
    step.scheduler = scheduled(recipe.learning_rate, lambda number: schedule(number, trainer.total_steps))
    step.optimizer = recipe.build(list(model.named_parameters()), step.scheduler, section.clip_norm)
    return trainer


def _prepare(folder: Path, config: ConfigNode, resume: bool, overwrite: bool) -> None:
    """Make the run folder, or see that the one there is the run to go on with. Nothing is lost without --overwrite."""
    last = folder / "checkpoints" / "last"
    if resume:
        saved = loads(read_checkpoint(last).text("config.yaml"), file=f"{last}/config.yaml")
        changed = [key for key in changed_keys(saved, config) if not key.startswith(FREE_ON_RESUME)]
        if changed:
            raise ConfigError(f"cannot resume {folder}: the config differs in {', '.join(changed)}; use another name")
    elif folder.exists() and any(folder.iterdir()):
        if not overwrite:
            raise ConfigError(
                f"{folder} already holds a run; go on with --resume, start anew with --overwrite, or choose -o name=..."
            )
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(dump(config), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"cannot write {folder}: {error}; choose another place with -o output=FOLDER") from error


def _finish(folder: Path, trainer: Trainer) -> dict[str, float]:
    """Evaluate the best checkpoint once more, with tables and a gallery, and write metrics.json and report.html."""
    saved = folder / "checkpoints" / ("best" if trainer.state.best is not None else "last")
    best = load_checkpoint(saved)
    result = evaluate_rows(best, build_rows(best.config, "val"), gallery=True)
    document = {
        "split": "val", "rows": result.evaluation.rows, "best_step": trainer.state.best_step,
        "metrics": result.evaluation.figures, "details": result.evaluation.details,
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    report_run(folder, best, trainer.state, result)
    figures = "  ".join(f"{name} {value:.4f}" for name, value in result.evaluation.figures.items())
    print(f"best of {trainer.state.epoch} epochs (step {trainer.state.best_step}): {figures}")
    print(f"checkpoint: {saved}\nreport:     {folder / 'report.html'}")
    return result.evaluation.figures
