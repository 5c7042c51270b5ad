"""The loss of a student: the task's, and those that compare it with a teacher.

PaddleSlim's ``Distill`` is not used: it runs student and teacher itself on the same positional inputs, replaces
functions of Paddle in the whole process, and its projections would not reach the ordinary trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

from ppmm.compress.context import Teacher
from ppmm.compress.distillation.attention import activation_map, map_distances, weight_distances
from ppmm.compress.distillation.contrastive import contrastive_loss, shared_embeddings
from ppmm.compress.distillation.features import FeatureLoss
from ppmm.compress.distillation.logits import LogitsKind, logits_loss
from ppmm.compress.distillation.relational import angle_loss, distance_loss
from ppmm.compress.distillation.taps import Taps, is_attention, layer_pairs, present_rows, row_mean, weights_of
from ppmm.errors import CompressError
from ppmm.types import Batch, Encoded, Objective, Outputs

__all__ = ["DistillationObjective", "Pairs", "Weights"]

PASSED_ON = ("reads", "target_kinds", "takes_soft_targets", "passes", "least_rows", "compares_in_model")
"""What the task's objective states and holds for this one too."""
Names = list[tuple[str, str]]


class Weights(NamedTuple):
    """Factor of each term; 0 leaves it out."""

    hard: float = 1.0
    logits: float = 1.0
    features: float = 1.0
    attention: float = 1.0
    relational_distance: float = 0.0
    relational_angle: float = 0.0
    contrastive: float = 0.0


class Pairs(NamedTuple):
    """Patterns of layers, student's to teacher's, for each loss that reads hidden layers."""

    features: Mapping[str, str] = {}
    attention: Mapping[str, str] = {}
    relational: Mapping[str, str] = {}


class Matched(NamedTuple):
    """The pairs of layers that patterns stand for."""

    features: Names
    attention: Names
    relational: Names


class DistillationObjective(nn.Layer):
    """loss = hard L_task + the weighted sum of what is asked for of the other terms.

    The teacher runs on the student's batch, without gradient. Its parameters are not this Layer's: only projections and
    what the task's objective learns are trained and saved. Hidden layers are read by hooks: `close` removes them.

    Args:
        task: the task's objective.
        student: the model that is trained.
        teacher: a frozen model.
        sample: a batch with the fields of both, for the sizes of the projections.
        weights: of the terms.
        pairs: layers to be compared.
        temperature: T of the logits.
        kind: of the logits.
        contrastive_temperature: tau of the similarities.

    Returns: ``loss`` and each term before its weight. Raises CompressError for models that cannot be compared.
    """

    def __init__(
        self,
        task: Objective,
        student: Any,
        teacher: Teacher,
        sample: Batch,
        weights: Weights,
        pairs: Pairs,
        temperature: float = 4.0,
        kind: LogitsKind = "softmax",
        contrastive_temperature: float = 0.07,
    ) -> None:
        super().__init__()
        self.task = task
        self.teacher = teacher  # a tuple: not a sublayer
        self.weights, self.temperature, self.kind = weights, temperature, kind
        self.contrastive_temperature = contrastive_temperature
        self.names = Matched(*(layer_pairs(student, teacher.model, layers) for layers in pairs))
        self.matrices: Names = []
        self.maps: Names = []
        self._sort_attention(student)
        for name in PASSED_ON:
            if hasattr(task, name):
                setattr(self, name, getattr(task, name))
        self.whole_batch = bool(getattr(task, "whole_batch", False)) or weights.contrastive > 0
        layers = [*self.names.features, *self.names.relational, *self.maps]
        self.student_taps = Taps(student, [ours for ours, _ in layers], [ours for ours, _ in self.matrices])
        self.teacher_taps = Taps(teacher.model, [other for _, other in layers], [other for _, other in self.matrices])
        self.tapped = bool(layers or self.matrices)
        try:
            self._begin(student, sample)
        except CompressError:
            self.close()
            raise

    def forward(self, outputs: Outputs, batch: Batch, *again: Outputs) -> dict[str, Tensor]:
        """The terms of a batch whose outputs the student has just given."""
        ours = self._student_values(batch)
        answers, theirs = self._ask(batch)
        terms = {}
        if self.weights.hard:
            terms["hard"] = self.task(outputs, batch, *again)["loss"]
        if self.weights.logits:
            terms["logits"] = logits_loss(outputs["logits"], answers["logits"], self.temperature, self.kind)
        if self.weights.contrastive:
            terms["contrastive"] = contrastive_loss(outputs, answers, batch, self.fields, self.contrastive_temperature)
        if self.features is not None:
            terms["features"] = self.features(ours, theirs, batch)
        if self.weights.attention and (self.maps or self.matrices):
            terms["attention"] = self._attention(ours, theirs, batch)
        if self.names.relational:
            terms |= self._relations(ours, theirs, batch)
        weighted = [getattr(self.weights, name) * term for name, term in terms.items()]
        return {"loss": paddle.add_n(weighted), **terms}

    def close(self) -> None:
        """Remove the hooks from both models."""
        self.student_taps.close()
        self.teacher_taps.close()

    def _sort_attention(self, student: Any) -> None:
        """Pairs of attention layers are compared by their weights, others by maps of their activations."""
        for ours, other in self.names.attention:
            both = is_attention(student, ours), is_attention(self.teacher.model, other)
            (self.matrices if all(both) else self.maps).append((ours, other))

    def _begin(self, student: Any, sample: Batch) -> None:
        """Compare the models on ``sample``, which gives projections their sizes; refuses what cannot be compared."""
        answers, theirs = self._ask(sample)
        training = student.training
        student.eval()
        with paddle.no_grad():
            outputs = student(sample)
        if training:
            student.train()
        ours = self._student_values(sample)
        _check_logits(outputs, answers, self.teacher.name, self.weights)
        self.fields = shared_embeddings(outputs, answers)
        if self.weights.contrastive and len(self.fields) < 2:
            raise CompressError(
                "contrastive: student and teacher must both embed two fields or more (F_embed), and have "
                f"{', '.join(self.fields) or 'none'} in common; set contrastive: 0"
            )
        wanted = self.weights.features and self.names.features
        self.features = FeatureLoss(self.names.features, ours, theirs) if wanted else None
        with paddle.no_grad():
            if self.features is not None:
                self.features(ours, theirs, sample)
            if self.maps or self.matrices:
                self._attention(ours, theirs, sample)
            if self.names.relational:
                self._relations(ours, theirs, sample)

    def _ask(self, batch: Batch) -> tuple[Outputs, dict[str, Any]]:
        """The teacher's answers and hidden layers."""
        with paddle.no_grad():
            answers = self.teacher.model(batch)
        return answers, self.teacher_taps.take()

    def _student_values(self, batch: Batch) -> dict[str, Any]:
        values = self.student_taps.take()
        if not self.tapped:
            return values
        if not isinstance(batch, dict):
            raise CompressError(
                "hidden layers cannot be compared over the chunks of a gradient cache or several processes; "
                "set trainer.gradient_cache: false, or leave features, attention and relational out"
            )
        if not values:
            raise CompressError(
                "hidden layers of a traced student cannot be read; set trainer.to_static: false, or leave features, "
                "attention and relational out"
            )
        return values

    def _attention(self, ours: Mapping[str, Any], theirs: Mapping[str, Any], batch: Batch) -> Tensor:
        losses = []
        for names in self.maps:
            maps = (activation_map(ours[names[0]], names[0]), activation_map(theirs[names[1]], names[1]))
            losses.append(row_mean(map_distances(*maps), present_rows(batch, names)))
        for names in self.matrices:
            weights = ours[weights_of(names[0])], theirs[weights_of(names[1])]
            losses.append(row_mean(weight_distances(*weights), present_rows(batch, names)))
        return paddle.stack(losses).mean()

    def _relations(self, ours: Mapping[str, Any], theirs: Mapping[str, Any], batch: Batch) -> dict[str, Tensor]:
        terms: dict[str, list[Tensor]] = {}
        for first, second in self.names.relational:
            embeds, rows = (_pooled(ours[first]), _pooled(theirs[second])), present_rows(batch, (first, second))
            if self.weights.relational_distance:
                terms.setdefault("relational_distance", []).append(distance_loss(*embeds, rows))
            if self.weights.relational_angle:
                terms.setdefault("relational_angle", []).append(angle_loss(*embeds, rows))
        return {name: paddle.stack(losses).mean() for name, losses in terms.items()}


def _pooled(value: Any) -> Tensor:
    """[B,D]: an encoder's pooled embedding, else the mean over places of [B,N,D] or [B,C,H,W]."""
    if isinstance(value, Encoded):
        return value.pooled
    found: Tensor = value
    return found.mean(axis=1) if found.ndim == 3 else found.mean(axis=[2, 3]) if found.ndim == 4 else found


def _check_logits(outputs: Outputs, answers: Outputs, name: str, weights: Weights) -> None:
    if not weights.logits:
        return
    lacking = "the student" if "logits" not in outputs else f"the teacher {name}" if "logits" not in answers else ""
    if lacking:
        raise CompressError(
            f"logits: {lacking} answers no logits; set logits: 0 and compare embeddings (contrastive: 1) or layers"
        )
    mine, others = outputs["logits"].shape[1:], answers["logits"].shape[1:]
    if mine != others:
        raise CompressError(
            f"logits: the student answers {mine} numbers per row and the teacher {name} {others}; set logits: 0, or "
            "take a teacher of the same classes"
        )
