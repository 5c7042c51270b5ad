"""A run that was interrupted or killed ends as if it had not been, bit by bit."""

import json
import os
import signal

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.engine.evaluator import evaluate
from ppmm.engine.hooks import Checkpoints, EarlyStopping, HookBase
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Interrupted, Trainer
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.metrics.accuracy import Accuracy
from ppmm.modalities.label import Label
from ppmm.modalities.numeric import NumericField
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.optim.optimizers import SGD, AdamW
from ppmm.optim.schedules import WarmupCosine

ROWS = 26


class Rows:
    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return {"id": f"row {index}", "sensor": rng.normal(size=4).tolist(), "y": int(rng.integers(3))}


class Net(nn.Layer):
    """With batch statistics and dropout, both of which a resume must bring back."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))

    def forward(self, batch):
        return {"logits": self.layers(batch["sensor"])}


def run_of(recipe, folder, hooks=(), save_every=None, seed=3, **options):
    """A complete run as the app wires it: shuffled loader, dropout, warm-up, clipping, accumulation 2 of 7 batches."""
    paddle.seed(seed)
    model = Net()
    targets = {"y": Label([0, 1, 2])}
    data = Prepared(Rows(), {"sensor": NumericField(4)}, targets, seed=seed, training=True)
    loader = Loader(data, 4, shuffle=True)
    step = TrainStep(model, CrossEntropy("y"), None, None, seed)

    def save(name, trainer):
        arrays = {"m.safetensors": model_arrays(model), "s.safetensors": optimizer_arrays(model, step.optimizer)}
        write_checkpoint(folder / name, arrays, {"state.json": json.dumps(trainer.state_dict())}, {})

    validation = Loader(Prepared(Rows(), data.fields, targets), 8)
    trainer = Trainer(
        step, loader, lambda poll: evaluate(model, validation.epoch(), [Accuracy("y")], step.objective).figures,
        [*hooks, EarlyStopping(50), Checkpoints(save, save_every)], **{"epochs": 3, "accumulate": 2} | options,
    )  # fmt: skip
    step.scheduler = scheduled(recipe.learning_rate, lambda number: WarmupCosine(0.2)(number, trainer.total_steps))
    step.optimizer = recipe.build(list(model.named_parameters()), step.scheduler, paddle.nn.ClipGradByGlobalNorm(0.5))
    return trainer


def resume(trainer, folder):
    found = read_checkpoint(folder)
    load_model(trainer.step.model, found.arrays("m.safetensors"), "here")
    load_optimizer(trainer.step.model, trainer.step.optimizer, found.arrays("s.safetensors"), "here")
    trainer.load_state_dict(json.loads(found.text("state.json")))


def everything(trainer):
    arrays = model_arrays(trainer.step.model) | optimizer_arrays(trainer.step.model, trainer.step.optimizer)
    return {name: np.array(array) for name, array in arrays.items()}


def assert_identical(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes(), name


class InterruptAt(HookBase):
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.state.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


RECIPES = [AdamW(learning_rate=0.05), SGD(learning_rate=0.1)]


@pytest.fixture(scope="module", params=RECIPES, ids=["adamw", "sgd"])
def whole(request, tmp_path_factory):
    trainer = run_of(request.param, tmp_path_factory.mktemp("whole"))
    trainer.fit()
    assert trainer.state.step == 12
    return request.param, trainer, everything(trainer)


@pytest.mark.parametrize("at", [[1], [2], [4], [5], [3, 6, 11], [4, 5]], ids=str)
def test_an_interrupted_run_ends_as_the_whole_one_bit_by_bit(whole, tmp_path, at):
    """Interrupted in the middle and at the end of an epoch (4 steps of 7 batches each), once and several times."""
    recipe, uninterrupted, wanted = whole
    for number, step in enumerate(at):
        trainer = run_of(recipe, tmp_path, [InterruptAt(step)], seed=3)
        paddle.rand([17 * (number + 1)])
        if number:
            resume(trainer, tmp_path / "last")
        with pytest.raises(Interrupted):
            trainer.fit()
        assert trainer.state.step == step
    last = run_of(recipe, tmp_path)
    for parameter in last.step.model.parameters():
        parameter.set_value(parameter * 0 + 9)  # everything has to come from the checkpoint
    resume(last, tmp_path / "last")
    last.fit()
    assert_identical(everything(last), wanted)
    state, other = last.state_dict(), uninterrupted.state_dict()
    assert {**state, "seconds": 0} == {**other, "seconds": 0}


def test_a_killed_run_goes_on_from_its_last_save(whole, tmp_path):
    """The steps after the save are repeated, with the same result."""
    recipe, _, wanted = whole

    class Kill(HookBase):
        def on_step(self, trainer):
            if trainer.state.step == 7:
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        run_of(recipe, tmp_path, [Kill()], save_every=5).fit()
    last = run_of(recipe, tmp_path)
    resume(last, tmp_path / "last")
    assert (last.state.epoch, last.state.batch, last.state.step) == (1, 2, 5)
    last.fit()
    assert_identical(everything(last), wanted)


def test_a_finished_run_has_nothing_to_resume(whole, tmp_path):
    recipe, _, wanted = whole
    run_of(recipe, tmp_path).fit()
    last = run_of(recipe, tmp_path)
    resume(last, tmp_path / "last")
    last.fit()
    assert last.state.step == 12
    assert_identical(everything(last), wanted)


def test_a_run_cut_by_max_steps_in_mid_epoch_goes_on_with_the_rest_of_that_epoch(tmp_path):
    """`max_steps` may be raised on resume: no batch of the epoch is lost, no step of the run."""
    seen = []

    class Watch(HookBase):
        def on_step(self, trainer):
            seen.append(trainer.state.step)

    run_of(AdamW(), tmp_path, [Watch()], max_steps=6).fit()
    last = run_of(AdamW(), tmp_path, [Watch()])
    resume(last, tmp_path / "last")
    last.fit()
    assert seen == list(range(1, 13))


def test_two_runs_of_one_seed_are_equal_and_another_seed_differs(whole, tmp_path):
    recipe, _, wanted = whole
    again = run_of(recipe, tmp_path / "again")
    again.fit()
    assert_identical(everything(again), wanted)
    other = run_of(recipe, tmp_path / "other", seed=4)
    other.fit()
    assert any(not np.array_equal(array, wanted[name]) for name, array in everything(other).items())
