"""tools/train.py: a config in, a run folder with checkpoints, figures and a report out."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

from ppmm.app.checkpoints import load_checkpoint, make_saver, restore_training
from ppmm.app.document import write_document
from ppmm.app.evaluate import evaluate_rows
from ppmm.app.experiment import (
    ClassCounts,
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
from ppmm.app.freezing import check_frozen
from ppmm.app.initialise import initialise
from ppmm.app.model_checks import check_outputs
from ppmm.app.optimisation import build_optimizer
from ppmm.app.processes import check_whole_batch, join_processes
from ppmm.app.resuming import check_changes
from ppmm.app.run_report import report_run
from ppmm.app.start import Start, start_from
from ppmm.app.target_checks import learned_targets
from ppmm.app.transforms import apply_transforms, count_parameters
from ppmm.config import ConfigNode, TrainerSection, build, dump, loads
from ppmm.engine.averaging import Averaging
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.engine.distributed import SINGLE, Processes
from ppmm.engine.divergence import DivergenceRecord
from ppmm.engine.evaluator import evaluate
from ppmm.engine.history import History
from ppmm.engine.hooks import Checkpoints
from ppmm.engine.precision import Precision, lay_out_channels_last, make_precision
from ppmm.engine.profile import Profile
from ppmm.engine.progress import Progress
from ppmm.engine.sharded_optimizer import ShardedOptimizer
from ppmm.engine.static_forward import check_traceable, trace_training
from ppmm.engine.step import TrainStep
from ppmm.engine.trainer import Trainer
from ppmm.engine.weights import optimizer_arrays, trained_parameters
from ppmm.errors import CheckpointError, ConfigError
from ppmm.types import Field, Hook

__all__ = ["run_folder", "train"]


def train(
    path: str,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    overwrite: bool = False,
    resume_if_any: bool = False,
    force: bool = False,
    weights: str | None = None,
) -> dict[str, float]:
    """Train as the YAML says; returns the figures of the best epoch on the validation split.

    Of several processes the first one writes and returns them; the others return those of the last epoch.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        resume: go on from ``checkpoints/last`` of the run folder.
        overwrite: delete a run that is already there.
        resume_if_any: resume where there is such a checkpoint, else start anew.
        force: resume although keys differ on which what the run has computed depends, if they are safe to change.
        weights: a checkpoint to begin with: its weights, form (pruned, low rank, LoRA), vocabulary and labels.
    """
    config = open_experiment(path, overrides)
    set_device(config)
    precision_of(config)
    with join_processes(config) as processes:
        if resume_if_any and not resume:
            resume, overwrite = processes.together(lambda: _left_over(run_folder(config)))
        return _train(config, processes, resume, overwrite, force, weights)


def _train(
    config: ConfigNode, processes: Processes, resume: bool, overwrite: bool, force: bool, weights: str | None
) -> dict[str, float]:
    """The same of a checked config, in each of the processes."""

    folder = run_folder(config)
    changed = processes.together(lambda: _check_folder(folder, config, resume, overwrite, force))
    begun = str(folder / "checkpoints" / "last") if resume else weights
    rows, parts, trainer = processes.together(lambda: _made(config, folder, processes, begun))
    with processes.together(lambda: nullcontext() if processes.rank else _claim(folder, config, overwrite)):
        if resume:
            restore_training(folder / "checkpoints" / "last", trainer)
            if any(key.startswith(("hooks", "trainer.epochs", "optimizer", "schedule")) for key in changed):
                trainer.state.stopped = ""
            print(f"resuming at step {trainer.state.step} of {trainer.total_steps}", file=sys.stderr)
        elif weights is None:
            whole = trainer.loader if processes.world == 1 else make_loader(config, rows, parts, training=True)
            initialise(trainer.step.model, whole, config.get("seed", 0))
        processes.share_weights(trainer.step.model, trainer.step.objective)
        trainer.fit()
        if processes.rank:
            return dict(trainer.figures)
        return _finish(folder, trainer, config.get("plugins", []))


def _left_over(folder: Path) -> tuple[bool, bool]:
    """Whether there is a run to resume, or one that was killed before it had saved anything, to be overwritten."""
    last = folder / "checkpoints" / "last"
    begun = (folder / "history.jsonl").is_file() and not last.parent.exists()
    return last.exists() or last.with_name("last.old").exists(), begun


def run_folder(config: ConfigNode) -> Path:
    """Where the run writes."""
    return Path(config.get("output", "output")) / config["name"]


def precision_of(config: ConfigNode, device: str | None = None) -> Precision:
    """``trainer.precision`` on a device (None: the one in use). Raises ConfigError when it does not compute in it."""
    import paddle

    try:
        lay_out_channels_last(config["trainer"].get("channels_last", False), device or paddle.get_device())
        return make_precision(config["trainer"].get("precision", "fp32"), device)
    except ConfigError as error:
        raise ConfigError(f"{config.place('trainer')} {error}") from error


def trainer_section(config: ConfigNode) -> TrainerSection:
    """``trainer`` of the config; a rule that balances gradients learns of the only target that is learned."""
    learned = learned_targets(config)
    section: TrainerSection = build(
        config["trainer"], TrainerSection, {"target": learned[0]} if len(learned) == 1 else None
    )
    return section


def _made(config: ConfigNode, folder: Path, processes: Processes, begun: str | None) -> tuple[Any, Parts, Trainer]:
    """Training rows, parts and trainer; ``begun`` is the checkpoint whose form, vocabulary and labels they have."""
    rows = build_rows(config, "train")
    if begun is None:
        parts = build_parts(config, rows)
        return rows, parts, make_trainer(config, parts, rows, folder, processes, pretrained=True)
    start = start_from(begun, config)
    return rows, start.parts, make_trainer(config, start.parts, rows, folder, processes, start=start)


def make_trainer(
    config: ConfigNode,
    parts: Parts,
    rows: Any,
    folder: Path,
    processes: Processes = SINGLE,
    *,
    pretrained: bool = False,
    start: Start | None = None,
    objective: Any = None,
    teacher_fields: Mapping[str, Field] | None = None,
) -> Trainer:
    """Everything wired for ``fit``; the run folder exists.

    Args:
        processes: those that train together.
        pretrained: whether parts that start from other weights read them now.
        start: the model to train; a new one when None.
        objective: in place of the config's.
        teacher_fields: what the batches hold beside the fields of the model.
    """
    import paddle

    seed = config.get("seed", 0)
    section = trainer_section(config)
    paddle.seed(seed)
    model = build_model(config, parts) if start is None else start.model
    counts = ClassCounts(rows, parts.targets)
    objective = build_objective(config, parts, counts, len(rows)) if objective is None else objective
    metrics = build_metrics(config, parts)
    check_outputs(config, model, metrics, objective)
    check_whole_batch(config, objective, section, processes.world)
    share: dict[str, Any] = {
        "rank": processes.rank, "world": processes.world, "folder": folder, "teacher_fields": teacher_fields or {},
    }  # fmt: skip
    loader = make_loader(config, rows, parts, training=True, **share)
    val = make_loader(config, build_rows(config, "val", teacher_fields), parts, **share)
    parameters = sum(parameter.size for parameter in model.parameters())
    facts: dict[str, Any] = {
        "parameters": int(parameters), "class_counts": counts.counted, "train_rows": len(rows),
    }  # fmt: skip
    save = make_saver(folder / "checkpoints", config, parts, facts)
    hooks: list[Hook] = [
        *([Profile()] if section.profile else []),
        *build(config.get("hooks", []), list[Hook]),
        History(folder / "history.jsonl", section.log_every),
        DivergenceRecord(folder, save),
    ]

    def save_first(name: str, trainer: Trainer) -> None:
        processes.average_statistics(model)
        if isinstance(step.optimizer, ShardedOptimizer):
            step.optimizer.gather(optimizer_arrays(model, step.optimizer.optimizer, objective))
        if processes.rank == 0:
            save(name, trainer)
        if isinstance(step.optimizer, ShardedOptimizer):
            step.optimizer.gathered = {}

    def validate(poll: Callable[[], None]) -> dict[str, float]:
        processes.average_statistics(model)
        return evaluate(
            model, val.epoch(), metrics, objective, lambda batch, outputs: poll(), processes=processes
        ).figures

    facts["transforms"] = _adapt(config, model, hooks, pretrained, [] if start is None else start.transforms)
    step = TrainStep(
        model, objective, None, None, seed, section.balance, precision=precision_of(config), processes=processes,
        cache=section.gradient_cache, sam=section.sam,
    )  # fmt: skip
    if section.to_static:
        check_traceable(step.precision)
        trace_training(model, parts.specs())
    hooks += [Progress(), Checkpoints(save_first, section.save_every)]
    hooks = [hook for hook in hooks if processes.rank == 0 or not getattr(hook, "first_process_only", False)]
    trainer = Trainer(
        step, loader, validate, hooks, epochs=section.epochs,
        max_steps=section.max_steps, accumulate=section.accumulate, monitor=section.monitor, mode=section.mode,
        folder=folder, averaging=None if section.average is None else Averaging(section.average, model),
    )  # fmt: skip
    step.optimizer, step.scheduler = build_optimizer(
        config, section, model, trained_parameters(model, objective), trainer.total_steps
    )
    if section.sharding and processes.world > 1:
        step.optimizer = ShardedOptimizer(step.optimizer, trained_parameters(model, objective), processes)
    return trainer


def _adapt(
    config: ConfigNode, model: Any, hooks: Sequence[Hook], pretrained: bool, done: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What is done to a model between building and training, where it is not ``done``; returns the transforms for the
    manifest."""
    from ppmm.models.pretrained import load_pretrained

    if pretrained:
        load_pretrained(model)
    records = apply_transforms(model, config, done)
    every, trained = count_parameters(model, check_frozen(config, model, hooks))
    print(f"{every:,} parameters, {trained:,} of them trained ({100 * trained / every:.1f} %)", file=sys.stderr)
    return records


def _check_folder(folder: Path, config: ConfigNode, resume: bool, overwrite: bool, force: bool) -> list[str]:
    """See that the run may use its folder, before anything in it is touched; returns what changed since the last time.

    Raises ConfigError, or CheckpointError when there is nothing to resume.
    """
    if resume:
        last = folder / "checkpoints" / "last"
        saved = loads(read_checkpoint(last).text("config.yaml"), file=f"{last}/config.yaml")
        return check_changes(saved, config, str(folder), force)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise CheckpointError(f"cannot write {folder}: it is not a folder; choose another place with -o output=FOLDER")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / "config.yaml").is_file() or not (folder / "history.jsonl").is_file():
            raise ConfigError(f"{folder} holds files that are not a run; choose another -o name=...")
        if not overwrite:
            raise ConfigError(
                f"{folder} already holds a run; go on with --resume, start anew with --overwrite, or choose -o name=..."
            )
    return []


def _claim(folder: Path, config: ConfigNode, overwrite: bool) -> TextIO:
    """Make the run folder (in place of an old run, with ``overwrite``); other runs are kept out until the file closes.

    Raises CheckpointError when the folder cannot be written or another run is at work in it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by data workers
        if overwrite and folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir(exist_ok=True)
        (folder / "history.jsonl").touch()  # what marks the folder as a run, should a kill come before the first step
        (folder / "config.yaml").write_text(dump(config), encoding="utf-8")
    except BlockingIOError as error:
        raise CheckpointError(f"another run is writing to {folder}; wait for it, or choose -o name=...") from error
    except OSError as error:
        raise CheckpointError(f"cannot write {folder}: {error}; choose another place with -o output=FOLDER") from error
    return lock


def _finish(folder: Path, trainer: Trainer, plugins: Sequence[str]) -> dict[str, float]:
    """Evaluate the best checkpoint once more, with tables and a gallery, and write metrics.json and report.html."""
    saved = folder / "checkpoints" / ("best" if trainer.state.best is not None else "last")
    best = load_checkpoint(saved, plugins=plugins)
    result = evaluate_rows(best, build_rows(best.config, "val"), gallery=True)
    document = {
        "split": "val", "rows": result.evaluation.rows, "best_step": trainer.state.best_step,
        "metrics": result.evaluation.figures, "details": result.evaluation.details,
    }  # fmt: skip
    write_document(folder / "metrics.json", document)
    report_run(folder, best, trainer.state, result)
    figures = "  ".join(f"{name} {value:.4f}" for name, value in result.evaluation.figures.items())
    print(f"best of {trainer.state.epoch} epochs (step {trainer.state.best_step}): {figures}")
    print(f"checkpoint: {saved}\nreport:     {folder / 'report.html'}")
    return result.evaluation.figures
