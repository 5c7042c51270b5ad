"""A `ppmm.compress.context.Context` over given batches, for tests of single steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paddle


@dataclass
class FakeContext:
    """Batches of every split are ``data``; `train` takes ``optimizer`` steps of ``objective`` over them."""

    sample: Any
    data: list[Any] = field(default_factory=list)
    objective: Any = None
    folder: Path = Path()
    seed: int = 0
    metric: str = "accuracy"
    higher: bool = True
    fields: list[str] = field(default_factory=list)
    tokenizers: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    trained: list[Any] = field(default_factory=list)

    def batches(self, split, rows):
        return iter(self.data)

    def evaluate(self, model, split="val", rows=None, without=()):
        return {"accuracy": 0.5}

    def train(self, model, training, transforms=(), objective=None, teacher=None):
        model.train()
        optimizer = paddle.optimizer.AdamW(training.learning_rate or 0.05, parameters=model.parameters())
        for _ in range(training.epochs):
            for batch in self.data:
                (objective or self.objective)(model(batch), batch)["loss"].backward()
                optimizer.step()
                optimizer.clear_grad()
        model.eval()
        self.trained.append((training, list(transforms)))
        return {"steps": training.epochs * len(self.data)}

    def tokenizer(self, name):
        return self.tokenizers[name]

    def values(self, name, split):
        return iter(self.texts[name])

    def set_vocabulary(self, name, text):
        self.tokenizers[name].from_json(text)

    def say(self, text):
        self.said.append(text)
