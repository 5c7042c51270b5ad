"""What a compression step is given, over tensors that are made here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paddle

from ppmm.compress.context import Teacher, Training


def cross_entropy(outputs: Any, batch: Any) -> dict[str, Any]:
    """Of ``label``."""
    return {"loss": paddle.nn.functional.cross_entropy(outputs["logits"], batch["label"])}


@dataclass
class MadeContext:
    """A `ppmm.compress.context.Context` of one batch; what is trained is noted in ``trained``."""

    sample: Any
    folder: Path = Path()
    objective: Any = cross_entropy
    seed: int = 0
    metric: str = "accuracy"
    higher: bool = True
    fields: list[str] = field(default_factory=list)
    training: Callable[[Any], None] = lambda model: None
    figures: Callable[[Any], dict[str, float]] = lambda model: {"accuracy": 1.0}
    trained: list[tuple[Training, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def batches(self, split: str, rows: int) -> Iterator[Any]:
        rows_of = len(next(iter(self.sample.values())))
        yield {**self.sample, "label": paddle.arange(rows_of) % 4}

    def evaluate(
        self, model: Any, split: str = "val", rows: int | None = None, without: Sequence[str] = ()
    ) -> dict[str, float]:
        return self.figures(model)

    def train(
        self, model: Any, training: Training, transforms: Sequence[Mapping[str, Any]] = (),
        objective: Any = None, teacher: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        self.trained.append((training, len(transforms)))
        self.training(model)
        return {"steps": len(self.trained)}

    def teacher(self, checkpoint: str | None) -> Teacher:
        raise NotImplementedError

    def say(self, text: str) -> None:
        self.said.append(text)
