"""reduce_on_plateau: rates by hand, in step with Paddle's, and resumed bit by bit."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.hooks import HookBase
from ppmm.engine.plateau import ReduceOnPlateau
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Trainer
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.optim.optimizers import AdamW
from ppmm.registry import HOOKS


class Batches:
    """Three batches an epoch, the same for everybody."""

    batch_size = 4

    def __len__(self):
        return 3

    def epoch(self, epoch, start=0):
        for number in range(start, 3):
            rng = np.random.default_rng([epoch, number])
            yield {"x": paddle.to_tensor(rng.normal(size=(4, 3)).astype("float32"))}


class Model(nn.Layer):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, batch):
        return {"y": self.linear(batch["x"])}


class Rates(HookBase):
    """The rate of each step."""

    def __init__(self):
        self.seen = []

    def on_step(self, trainer):
        self.seen.append(trainer.learning_rate)


def run_of(values, *hooks, factor=lambda step: 1.0, mode="min", epochs=None):
    """A trainer whose monitored figure is ``values[epoch]``; its rates are in ``trainer.hooks[0].seen``."""
    paddle.seed(0)
    model = Model()
    step = TrainStep(model, lambda outputs, batch: {"loss": ((outputs["y"] - 1) ** 2).mean()}, None, None)
    step.scheduler = scheduled(0.5, factor)
    step.optimizer = AdamW(0.5).build(list(model.named_parameters()), step.scheduler)
    trainer = Trainer(
        step, Batches(), lambda poll: {"figure": values[trainer.state.epoch]}, [Rates(), *hooks],
        epochs=len(values) if epochs is None else epochs, monitor="figure", mode=mode,
    )  # fmt: skip
    return trainer


def scales(values, mode="min", **arguments):
    """The scale of the rate in each epoch."""
    trainer = run_of(values, ReduceOnPlateau(**arguments), mode=mode)
    trainer.fit()
    rates = np.array(trainer.hooks[0].seen).reshape(-1, 3)
    assert (rates == rates[:, :1]).all(), "the rate changes between epochs only"
    return (rates[:, 0] / 0.5).tolist()


def test_it_waits_and_reduces_by_hand():
    assert scales([5, 4, 4, 4, 4, 4, 3, 3, 3], patience=2, factor=0.5) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_more_is_better_where_the_trainer_says_so():
    assert scales([1, 2, 3, 3, 3], mode="max", patience=1, factor=0.5) == [1, 1, 1, 1, 0.5]
    assert scales([1, 2, 3, 3, 3], mode="min", patience=1, factor=0.5) == [1, 1, 0.5, 0.25, 0.125]


def test_min_delta():
    values = [1.0, 0.9, 0.8, 0.4, 0.3]
    assert scales(values, patience=1, factor=0.5, min_delta=0.15) == [1, 1, 0.5, 0.5, 0.5]


def test_a_nan_is_no_improvement():
    assert scales([1.0, float("nan"), float("nan"), 0.5], patience=2, factor=0.5) == [1, 1, 1, 0.5]


def test_cooldown():
    assert scales([1] * 8, patience=1, factor=0.5, cooldown=2) == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_floor():
    assert scales([1] * 6, patience=1, factor=0.5, floor=0.2) == [1, 1, 0.5, 0.25, 0.2, 0.2]


@pytest.mark.parametrize("cooldown", [0, 2])
@pytest.mark.parametrize("patience", [1, 3])
def test_it_is_paddles(patience, cooldown):
    """Paddle's acceptance is one epoch longer: it reduces when more than `patience` epochs were bad."""
    values = np.random.default_rng(3).normal(size=25).tolist()
    theirs = paddle.optimizer.lr.ReduceOnPlateau(
        1.0, factor=0.5, patience=patience - 1, threshold=0.0, cooldown=cooldown
    )
    wanted = []
    for value in values:
        wanted.append(theirs())
        theirs.step(paddle.to_tensor(value, dtype="float64"))
    assert scales(values, patience=patience, factor=0.5, cooldown=cooldown) == wanted


def test_it_multiplies_the_schedule():
    trainer = run_of([1, 1, 1], ReduceOnPlateau(1, factor=0.1), factor=lambda step: 1 / (step + 1))
    trainer.fit()
    assert trainer.hooks[0].seen == pytest.approx([0.5 / (n + 1) * (0.1 if n > 5 else 1) for n in range(9)])


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
def test_a_resumed_run_ends_as_the_whole_one_bit_by_bit(epochs):
    values = [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    arguments = {"patience": 1, "factor": 0.3, "cooldown": 1}
    whole = run_of(values, ReduceOnPlateau(**arguments))
    whole.fit()
    assert len(set(whole.hooks[0].seen)) == 3
    first = run_of(values, ReduceOnPlateau(**arguments), epochs=epochs)
    first.fit()
    second = run_of(values, ReduceOnPlateau(**arguments))
    model, optimizer = first.step.model, first.step.optimizer
    load_model(second.step.model, model_arrays(model), "here")
    load_optimizer(second.step.model, second.step.optimizer, optimizer_arrays(model, optimizer), "here")
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.fit()
    assert first.hooks[0].seen + second.hooks[0].seen == whole.hooks[0].seen
    for name, array in model_arrays(whole.step.model).items():
        assert np.array_equal(model_arrays(second.step.model)[name], array), name
    saved = [trainer.state_dict()["hooks"] for trainer in (second, whole)]
    assert saved[0] == saved[1] and saved[0]["ReduceOnPlateau.0"]["scale"] == whole.step.scheduler.scale


@pytest.mark.parametrize(
    "arguments",
    [{"patience": 0}, {"factor": 1.0}, {"factor": 0.0}, {"factor": -0.5}, {"min_delta": -1.0}, {"cooldown": -1},
     {"floor": 1.0}, {"floor": -0.1}],
)  # fmt: skip
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        HOOKS.get("reduce_on_plateau")(**{"patience": 1} | arguments)
