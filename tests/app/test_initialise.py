"""Layers that start from data: they get what they would see, and nothing else of the model changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.initialise import initialise
from ppmm.app.train import train
from ppmm.models.layers.rbf import RBF

ROWS = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")


class Noting(nn.Layer):
    """Notes what it is started from, and doubles what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[np.ndarray] = []

    def forward(self, x: Tensor) -> Tensor:
        return x * 2

    def init_from(self, inputs: Tensor) -> None:
        self.started.append(inputs.numpy())


class Chain(nn.Layer):
    """x -> norm -> dropout -> noting -> noting."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1D(3)
        self.dropout = nn.Dropout(0.5)
        self.first, self.second = Noting(), Noting()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.second(self.first(self.dropout(self.norm(batch["x"]))))


class Batches:
    """Ten rows at a time, from the first."""

    batch_size = 10

    def __init__(self, many: int = 6) -> None:
        self.many, self.read = many, 0

    def epoch(self, epoch: int, start: int) -> Iterator[dict[str, Tensor]]:
        for number in range(self.many):
            self.read += 1
            rows = ROWS[np.arange(10 * number, 10 * number + 10) % len(ROWS)]
            yield {"x": paddle.to_tensor(rows)}


def test_layers_get_what_they_see_in_training_without_dropout() -> None:
    model = Chain()
    model.train()
    assert initialise(model, Batches()) == ["first", "second"]
    batches = ROWS.reshape(6, 10, 3)
    normed = (batches - batches.mean(1, keepdims=True)) / np.sqrt(batches.var(1, keepdims=True) + 1e-5)
    (first,), (second,) = model.first.started, model.second.started
    np.testing.assert_allclose(first, normed.reshape(60, 3), atol=1e-5)
    np.testing.assert_allclose(second, 2 * first)


def test_nothing_else_changes() -> None:
    model = Chain()
    model.eval()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    initialise(model, Batches())
    assert all(np.array_equal(before[key], value.numpy()) for key, value in model.state_dict().items())
    assert not any(layer.training for layer in model.sublayers(include_self=True))
    model({"x": paddle.to_tensor(ROWS)})
    assert len(model.first.started) == 1, "it goes on listening"


def test_few_batches_are_enough() -> None:
    batches = Batches(1000)
    initialise(Chain(), batches)
    assert batches.read <= 17
    idle = Batches()
    assert initialise(nn.Linear(2, 2), idle) == [] and idle.read == 0


def test_a_layer_that_fails_leaves_the_model_as_it_was() -> None:
    model = Chain()
    model.train()
    model.first.init_from = lambda inputs: 1 / 0
    with pytest.raises(ZeroDivisionError):
        initialise(model, Batches())
    assert model.training and model.norm.training and not model.norm._mean.numpy().any()


def started(seed: int) -> np.ndarray:
    model = nn.Sequential(RBF(3, 4))
    holder = nn.Layer()
    holder.model = model
    holder.forward = lambda batch: model(batch["x"])
    initialise(holder, Batches(), seed)
    centres: np.ndarray = model[0].centres.numpy()
    return centres


def test_the_seed_decides() -> None:
    assert np.array_equal(started(1), started(1)) and not np.array_equal(started(1), started(2))


def test_a_run_starts_from_data_once(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(RBF, "init_from", lambda self, inputs: calls.append(inputs.shape))
    path = write_config("started", trainer={"epochs": 1})
    overrides = ["model.head={name: rbf, centres: 20}"]
    train(str(path), overrides)
    assert len(calls) == 1 and calls[0][0] >= 16 and calls[0][1] == 16
    train(str(path), [*overrides, "trainer.epochs=2"], resume=True)
    assert len(calls) == 1
    load_checkpoint(tmp_path / "output" / "started" / "checkpoints" / "best")
    assert len(calls) == 1
