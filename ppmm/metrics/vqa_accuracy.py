"""Soft accuracy of visual question answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.modalities.vqa_answers import NO_ANSWER, answer_keys
from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["VqaAccuracy"]


@METRICS.register("vqa_accuracy")
class VqaAccuracy:
    """min(people who said it / 3, 1), averaged over leaving out each of the people once (Antol et al. 2015).

    Equal to the challenge's evaluation code for the rows that it sees: a question whose row is missing because its
    answer is not among the classes does not count here and would be 0 there. ``details`` has the ``ceiling``: what the
    best of the classes would reach on each row.

    Args:
        target: batch key of the people's answers, [B,people], a ``vqa_answers`` target.
        answer: the target whose classes the model chooses among.
        logits: output key, [B,classes].
        labels: the class names of each target.
    """

    def __init__(
        self, target: str, answer: str, logits: str = "logits", labels: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        if not labels or answer not in labels:
            raise ValueError(f"no class labels are known for target '{answer}'")
        self.target, self.logits = target, logits
        self.keys = np.array([answer_keys(label) for label in labels[answer]], dtype=np.int64)
        self.reset()

    def reset(self) -> None:
        self.rows = 0
        self.total = self.best = 0.0

    def update(self, outputs: Outputs, batch: Batch) -> None:
        given = np.asarray(batch[self.target])
        logits = np.asarray(outputs[self.logits])
        chosen = np.where(np.isnan(logits), -np.inf, logits).argmax(axis=-1)
        said = (given[:, :, None] == self.keys[chosen][:, None, :]).any(axis=2).sum(axis=1)
        people = (given != NO_ANSWER).sum(axis=1)
        same = (given[:, :, None] == given[:, None, :]).sum(axis=2)
        self.total += float(_soft(said, people).sum())
        known = np.isin(given, self.keys) & (given != NO_ANSWER)
        self.best += float(_soft(np.where(known, same, 0).max(axis=1), people).sum())
        self.rows += len(given)

    def compute(self) -> dict[str, float]:
        return {"vqa_accuracy": self.total / self.rows if self.rows else float("nan")}

    def details(self) -> dict[str, Any]:
        ceiling = round(self.best / self.rows, 6) if self.rows else None
        return {"vqa_accuracy": {"rows": self.rows, "ceiling": ceiling}}


def _soft(said: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Accuracy [B] of an answer that ``said`` [B] of ``people`` [B] gave.

    Those who gave it see one less among the others.
    """
    with_one_less = said * np.minimum((said - 1) / 3, 1.0)
    return (with_one_less + (people - said) * np.minimum(said / 3, 1.0)) / people
