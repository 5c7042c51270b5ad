"""Distillation as a step: the model learns from a larger one while it learns the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import paddle

from ppmm.compress.context import Compressed, Context, Teacher, Training
from ppmm.compress.distillation.logits import LogitsKind
from ppmm.compress.distillation.objective import DistillationObjective, Pairs, Weights
from ppmm.errors import CompressError, ConfigError
from ppmm.registry import COMPRESSORS
from ppmm.types import Batch, Objective

__all__ = ["Distil"]


@COMPRESSORS.register("distil")
class Distil:
    """Train with the ordinary trainer on hard L_task + logits L_KD + ... (see `ppmm.compress.distillation`).

    The teacher may read fields that the student does not have: they come from the same rows. Layers are named as in
    ``named_sublayers``, ``*`` standing for any text without a dot.

    Args:
        teacher: a checkpoint folder; null takes the model that compression began with.
        hard: weight of the task's own loss.
        logits: weight of the loss between the answers.
        temperature: T that softens both answers.
        logits_loss: ``softmax`` for one of several classes, ``sigmoid`` for several labels, ``mse`` for numbers;
            ``auto`` goes by the task's target.
        features: student layer: teacher layer, made alike through learned projections.
        features_weight: of that loss.
        attention: student layer: teacher layer, whose attention is made alike: weights of attention layers, else maps.
        attention_weight: of that loss.
        relational: student layer: teacher layer whose pooled embeddings keep distances and angles between rows.
        relational_distance: weight of the distances (Park et al. take 1 for distances and 2 for angles on embeddings).
        relational_angle: weight of the angles.
        contrastive: weight of the similarities between the embeddings ``F_embed`` of a retrieval model.
        contrastive_temperature: tau of these.
        epochs: passes over the training split.
        max_steps: optimizer steps after which it ends earlier.
        learning_rate: base rate; that of the config when null.
        set: other values of keys of the config, as with ``-o``.

    Raises ConfigError for values that cannot be, CompressError for models that cannot be compared.
    """

    def __init__(
        self,
        teacher: str | None = None,
        hard: float = 1.0,
        logits: float = 1.0,
        temperature: float = 4.0,
        logits_loss: Literal["auto", "softmax", "sigmoid", "mse"] = "auto",
        features: dict[str, str] | None = None,
        features_weight: float = 1.0,
        attention: dict[str, str] | None = None,
        attention_weight: float = 1.0,
        relational: dict[str, str] | None = None,
        relational_distance: float = 1.0,
        relational_angle: float = 2.0,
        contrastive: float = 0.0,
        contrastive_temperature: float = 0.07,
        epochs: int = 1,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        set: dict[str, Any] | None = None,
    ) -> None:
        if epochs < 1:
            raise ConfigError(f"epochs must be at least 1, got {epochs}")
        self.teacher, self.temperature, self.kind = teacher, temperature, logits_loss
        self.contrastive_temperature = contrastive_temperature
        self.pairs = Pairs(features or {}, attention or {}, relational or {})
        relations = (relational_distance, relational_angle) if relational else (0.0, 0.0)
        self.weights = Weights(
            hard, logits, features_weight if features else 0.0, attention_weight if attention else 0.0, *relations,
            contrastive,
        )  # fmt: skip
        self.training = Training(epochs, max_steps, learning_rate, set)
        self._check()

    def apply(self, model: Any, context: Context) -> Compressed:
        """Train ``model``."""
        teacher = context.teacher(self.teacher)
        if self.weights.logits and self.teacher is not None:
            _check_classes(context.teacher(None).labels, teacher.labels, teacher.name)
        paddle.seed(context.seed)  # the projections begin alike when the step is resumed
        objective = DistillationObjective(
            context.objective, model, teacher, _complete(context.sample, teacher), self.weights, self.pairs,
            self.temperature, self._kind(context.objective), self.contrastive_temperature,
        )  # fmt: skip
        context.say(f"teacher {teacher.name}, {_size(teacher.model):,} parameters; student {_size(model):,}")
        try:
            figures = context.train(model, self.training, objective=objective, teacher=teacher)
        finally:
            objective.close()
        report = {
            **figures, "teacher": teacher.name, "teacher_fields": list(teacher.fields),
            "teacher_parameters": _size(teacher.model), "weights": self.weights._asdict(),
        }  # fmt: skip
        return Compressed([], report)

    def _check(self) -> None:
        negative = [name for name, weight in self.weights._asdict().items() if not 0 <= weight < float("inf")]
        if negative:
            raise ConfigError(f"weight of {', '.join(negative)} must be a number from 0")
        for name in ("temperature", "contrastive_temperature"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        if not any(self.weights[1:]):
            raise ConfigError(
                "distil would learn nothing from the teacher: give logits, contrastive, features, attention or "
                "relational a weight above 0, or use finetune"
            )

    def _kind(self, task: Objective) -> LogitsKind:
        """``logits_loss``, or what the task's target asks for."""
        if self.kind != "auto":
            return self.kind
        kinds = _target_kinds(task)
        if "label" in kinds:
            return "softmax"
        return "mse" if "number" in kinds else "sigmoid" if "multi_label" in kinds else "softmax"


def _target_kinds(task: Any) -> list[str]:
    """What the objective's target may be; of one that is made of others, what the first of these says."""
    inner = [*getattr(task, "terms", {}).values(), *([task.objective] if hasattr(task, "objective") else [])]
    found = list(getattr(task, "target_kinds", ()))
    for term in inner:
        found = found or _target_kinds(term)
    return found


def _complete(sample: Batch, teacher: Teacher) -> Batch:
    """``sample`` with the teacher's further fields, absent in every row: enough to know the sizes of its layers.

    Raises CompressError for a field that cannot be made up.
    """
    batch = dict(sample)
    rows = len(next(iter(sample.values())))
    for name in teacher.fields:
        if name in batch:
            continue
        if name not in teacher.parts:
            raise CompressError(f"the teacher {teacher.name} reads '{name}', which the batches do not have")
        arrays = teacher.parts[name].collate(name, [None] * rows)
        batch |= {key: paddle.to_tensor(array) for key, array in arrays.items()}
    return batch


def _check_classes(ours: Mapping[str, list[str]], theirs: Mapping[str, list[str]], name: str) -> None:
    """Raises CompressError where the logits of teacher and student are not of the same classes in the same order."""
    for target, classes in ours.items():
        if target in theirs:
            others = theirs[target]
        elif len(ours) == 1 and len(theirs) == 1:
            others = next(iter(theirs.values()))
        else:
            continue
        if list(classes) == list(others):
            continue
        if sorted(classes) == sorted(others):
            what = f"orders the classes of '{target}' otherwise: {_told(others)} instead of {_told(classes)}"
        else:
            more = [each for each in others if each not in classes]
            fewer = [each for each in classes if each not in others]
            parts = [f"has {_told(more)} more"] * bool(more) + [f"lacks {_told(fewer)}"] * bool(fewer)
            what = f"has other classes of '{target}': it {' and '.join(parts)}"
        raise CompressError(f"the teacher {name} {what}; train one on the same labels, or set logits: 0")


def _told(classes: list[str]) -> str:
    shown = ", ".join(map(str, classes[:5]))
    return f"{shown} ... ({len(classes)} in all)" if len(classes) > 5 else shown


def _size(model: Any) -> int:
    return sum(int(parameter.size) for parameter in model.parameters())
