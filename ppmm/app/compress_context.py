"""What a compression step may ask for, made from the config and the checkpoint that it starts from."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ppmm.app.checkpoints import MODEL, OBJECTIVE, Loaded, load_checkpoint, restore_objective, restore_training
from ppmm.app.evaluate import evaluate_rows
from ppmm.app.experiment import build_objective, build_rows, make_loader, open_experiment
from ppmm.app.picked_rows import PickedRows, rows_with_any, spread
from ppmm.app.resuming import check_changes
from ppmm.app.start import Start
from ppmm.app.train import make_trainer
from ppmm.compress.context import Teacher, Training
from ppmm.config import ConfigNode, changed_keys, dump, loads
from ppmm.data.columns import column_of
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.engine.weights import load_model, model_arrays
from ppmm.errors import CompressError, ConfigError
from ppmm.registry import did_you_mean
from ppmm.types import Batch, Field, Objective, Tokenizer

__all__ = ["StepContext"]

ROWS = 8
"""Of the sample."""


@dataclass
class StepContext:
    """A `ppmm.compress.context.Context`.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        loaded: the checkpoint that the step starts from, with the config of ``path``.
        folder: of the step; it exists.
        first: the checkpoint that compression began with.

    Attributes:
        transforms: those that the model had before the step.
    """

    path: str
    overrides: Sequence[str]
    loaded: Loaded
    folder: Path
    first: Path
    sample: Batch = field(init=False)
    objective: Objective = field(init=False)
    runs: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        config, manifest = self.loaded.config, self.loaded.checkpoint.manifest
        self.transforms: list[dict[str, Any]] = list(manifest["transforms"])
        self.seed = int(config.get("seed", 0))
        self.metric = str(config["trainer"].get("monitor", "accuracy"))
        self.higher = config["trainer"].get("mode", "max") == "max"
        self.fields = list(self.loaded.parts.fields)
        self.objective = build_objective(
            config, self.loaded.parts, manifest.get("class_counts", {}), manifest.get("train_rows")
        )
        restore_objective(self.loaded, self.objective)
        self.sample = next(self._batches(self._complete_rows("val"), ROWS))

    def _complete_rows(self, split: str) -> Any:
        """Rows that have all fields. Raises CompressError where no row does."""
        rows = build_rows(self.loaded.config, split)
        columns = [column_of(rows, name) for name in self.fields]
        complete = [number for number, row in enumerate(zip(*columns, strict=True)) if None not in row]
        if not complete:
            raise CompressError(f"data.{split} has no row with all of {', '.join(self.fields)}")
        return PickedRows(rows, complete)

    def _batches(self, rows: Any, count: int) -> Iterator[Batch]:
        return make_loader(self.loaded.config, spread(rows, count), self.loaded.parts).epoch()

    def batches(self, split: str, rows: int) -> Iterator[Batch]:
        """Rows spread evenly over a split, without augmentation. Raises CompressError for a split without rows."""
        found = build_rows(self.loaded.config, split)
        if not len(found):
            raise CompressError(f"data.{split} has no rows")
        return self._batches(rows_with_any(found, self.fields), rows)

    def evaluate(
        self, model: Any, split: str = "val", rows: int | None = None, without: Sequence[str] = ()
    ) -> dict[str, float]:
        """The figures of the task."""
        found = build_rows(self.loaded.config, split)
        chosen = found if rows is None else spread(found, rows)
        was_training = model.training
        model.eval()
        try:
            loaded = replace(self.loaded, model=model)
            return evaluate_rows(loaded, chosen, without=without, progress=rows is None).evaluation.figures
        finally:
            if was_training:
                model.train()

    def train(
        self,
        model: Any,
        training: Training,
        transforms: Sequence[Mapping[str, Any]] = (),
        objective: Objective | None = None,
        teacher: Teacher | None = None,
    ) -> dict[str, Any]:
        """Train ``model`` in ``run``, ``run_2`` ... of the step's folder, each of which goes on where it was killed."""
        self.runs += 1
        folder = self.folder / ("run" if self.runs == 1 else f"run_{self.runs}")
        config = open_experiment(self.path, [*self.overrides, *overrides_of(training)])
        more = self._teacher_fields(teacher)
        rows = build_rows(config, "train", more)
        start = Start(model, self.loaded.parts, [*self.transforms, *(dict(record) for record in transforms)])
        objective = self.objective if objective is None else objective
        resumed = _prepare_run(folder, config)
        trainer = make_trainer(config, start.parts, rows, folder, start=start, objective=objective, teacher_fields=more)
        if resumed:
            restore_training(folder / "checkpoints" / "last", trainer)
            self.say(f"resuming at step {trainer.state.step} of {trainer.total_steps}")
        trainer.fit()
        best = read_checkpoint(folder / "checkpoints" / ("best" if trainer.state.best is not None else "last"))
        load_model(model, best.arrays(MODEL), str(best.folder))
        if model_arrays(objective):
            load_model(objective, best.arrays(OBJECTIVE), str(best.folder / OBJECTIVE))
        model.eval()
        return {
            "epochs": trainer.state.epoch, "steps": trainer.state.step, "best_step": trainer.state.best_step,
            "metrics": best.manifest["metrics"],
        }  # fmt: skip

    def _teacher_fields(self, teacher: Teacher | None) -> dict[str, Field]:
        """The teacher's fields that the model does not have."""
        if teacher is None:
            return {}
        return {name: part for name, part in teacher.parts.items() if name not in self.loaded.parts.fields}

    def teacher(self, checkpoint: str | None) -> Teacher:
        """The model of a checkpoint, frozen.

        Raises ConfigError where a field of the same name is not read as the model's, CheckpointError for a folder that
        is none.
        """
        place = self.first if checkpoint is None else Path(checkpoint)
        found = load_checkpoint(place, plugins=self.loaded.config.get("plugins", []))
        self._check_fields(found, place)
        for parameter in found.model.parameters():
            parameter.stop_gradient = True
        found.model.eval()
        return Teacher(found.model, list(found.parts.fields), found.parts.labels(), str(place), found.parts.fields)

    def _check_fields(self, teacher: Loaded, place: Path) -> None:
        ours, theirs = self.loaded.config["fields"], teacher.config["fields"]
        common = [name for name in theirs if name in ours]
        differing = [
            f"fields.{name}.{key}"
            for name in common
            for key in changed_keys(ours[name], theirs[name])
            if "augment" not in key
        ]
        differing += [
            f"the vocabulary of {name}" for name in common if self._vocabulary(name) != _vocabulary(teacher, name)
        ]
        if differing:
            raise ConfigError(
                f"the teacher {place} reads its inputs otherwise: {', '.join(differing)}; both must see the same batch"
            )
        rows = build_rows(self.loaded.config, "train", teacher.parts.fields)
        only = [name for name in theirs if name not in ours]
        lost = [name for name in only if all(value is None for value in column_of(rows, name))]
        if lost:
            raise ConfigError(
                f"{self.loaded.config.place('data')} data: the rows have no {', '.join(lost)}, which the teacher "
                f"{place} reads; name the columns under data.<split>.columns"
            )

    def _vocabulary(self, name: str) -> dict[str, bytes]:
        return _vocabulary(self.loaded, name)

    def tokenizer(self, field: str) -> Tokenizer:
        """That of a text field. Raises CompressError."""
        parts = self.loaded.parts.fields
        if field not in parts:
            raise CompressError(f"field: the model has no '{field}'{did_you_mean(field, parts)}")
        found: Tokenizer | None = getattr(parts[field], "tokenizer", None)
        if found is None:
            raise CompressError(f"field: '{field}' is of kind {parts[field].kind} and has no tokenizer")
        return found

    def values(self, field: str, split: str) -> Iterator[Any]:
        """The raw values of a column; rows that lack it are left out."""
        return (value for value in column_of(build_rows(self.loaded.config, split), field) if value is not None)

    def set_vocabulary(self, field: str, text: str) -> None:
        """Another tokenizer.json; ``sample`` is read again with it. Raises CheckpointError where it does not fit."""
        self.tokenizer(field).from_json(text)
        self.sample = next(self._batches(self._complete_rows("val"), ROWS))

    def say(self, text: str) -> None:
        """Print a line of progress."""
        print(text, file=sys.stderr, flush=True)


def overrides_of(training: Training) -> list[str]:
    """The keys of the config that a step's training has otherwise."""
    chosen: dict[str, Any] = {"trainer.epochs": training.epochs, "trainer.max_steps": training.max_steps}
    if training.learning_rate is not None:
        chosen["optimizer.learning_rate"] = training.learning_rate
    chosen.update(training.set or {})
    return [
        f"{key}={yaml.safe_dump(value, default_flow_style=True, width=1 << 30).splitlines()[0]}"
        for key, value in chosen.items()
    ]


def _prepare_run(folder: Path, config: ConfigNode) -> bool:
    """Make the folder of a training; whether there is a checkpoint to go on from. Raises ConfigError where it was made
    with other keys."""
    last = folder / "checkpoints" / "last"
    folder.mkdir(exist_ok=True)
    if last.exists() or last.with_name("last.old").exists():
        saved = loads(read_checkpoint(last).text("config.yaml"), file=f"{last}/config.yaml")
        check_changes(saved, config, str(folder), False)
        return True
    (folder / "history.jsonl").write_text("", encoding="utf-8")
    (folder / "config.yaml").write_text(dump(config), encoding="utf-8")
    return False


def _vocabulary(loaded: Loaded, name: str) -> dict[str, bytes]:
    """What a field has learned, by file name."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        names = loaded.parts.fields[name].save_assets(Path(folder))
        return {asset: (Path(folder) / asset).read_bytes() for asset in names}
