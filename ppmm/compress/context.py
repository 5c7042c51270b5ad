"""What a compression step is given and what it gives back; a step never sees a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ppmm.types import Batch, Field, Objective, Tokenizer

__all__ = ["Compressed", "Context", "Teacher", "Training"]


class Compressed(NamedTuple):
    """What a step has done.

    Args:
        transforms: ``{name, args, shapes}`` each, to be appended to the checkpoint's manifest: they give a freshly
            built model the form that the step gave to this one.
        report: JSON: what was done, in numbers.
    """

    transforms: list[dict[str, Any]]
    report: dict[str, Any]


class Training(NamedTuple):
    """How a step trains.

    Args:
        epochs: passes over the training split.
        max_steps: optimizer steps after which it ends earlier.
        learning_rate: base rate; that of the config when None.
        set: other values of keys of the config, as with ``-o``: ``{"loader.batch_size": 32}``.
    """

    epochs: int = 1
    max_steps: int | None = None
    learning_rate: float | None = None
    set: Mapping[str, Any] | None = None


class Teacher(NamedTuple):
    """A trained model to learn from.

    Args:
        model: a Layer in evaluation mode whose parameters are not trained.
        fields: the inputs that it takes.
        labels: classes of its targets.
        name: for messages and the report.
        parts: its fields as objects, by name.
    """

    model: Any
    fields: list[str]
    labels: dict[str, list[str]]
    name: str
    parts: Mapping[str, Field] = {}


class Context(Protocol):
    """What a step may ask for.

    Attributes:
        sample: a real batch with all fields present.
        objective: the loss of the task.
        folder: of this step; what is written there is found again when the step is resumed.
        seed: of the run.
        metric: the monitored figure.
        higher: whether more of it is better.
        fields: inputs of the model.
    """

    sample: Batch
    objective: Objective
    folder: Path
    seed: int
    metric: str
    higher: bool
    fields: list[str]

    def batches(self, split: str, rows: int) -> Iterator[Batch]:
        """Rows spread evenly over a split, without augmentation."""

    def evaluate(
        self, model: Any, split: str = "val", rows: int | None = None, without: Sequence[str] = ()
    ) -> dict[str, float]:
        """The figures of the task, over all rows of a split or ``rows`` of them, some fields withheld."""

    def train(
        self,
        model: Any,
        training: Training,
        transforms: Sequence[Mapping[str, Any]] = (),
        objective: Objective | None = None,
        teacher: Teacher | None = None,
    ) -> dict[str, Any]:
        """Train ``model`` with the ordinary trainer and leave the best weights in it; returns what to report.

        Args:
            model: in its present form.
            training: how long and with which keys.
            transforms: those of this step that the model already has: the run's checkpoints need them.
            objective: in place of the task's loss; its own parameters are trained too.
            teacher: whose fields the batches hold as well.
        """

    def teacher(self, checkpoint: str | None) -> Teacher:
        """The model of a checkpoint; None: as the one that compression began with."""

    def tokenizer(self, field: str) -> Tokenizer:
        """The tokenizer of a text field. Raises CompressError for a field that has none."""

    def values(self, field: str, split: str) -> Iterator[Any]:
        """The raw values of a field over all rows of a split that have it: texts, paths."""

    def set_vocabulary(self, field: str, text: str) -> None:
        """Give a text field another tokenizer.json: it is written to the step's checkpoint, and ``sample`` and all
        batches from now on have its ids."""

    def say(self, text: str) -> None:
        """Print a line of progress."""
