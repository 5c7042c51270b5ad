"""A run that was interrupted or killed ends as if it had not been, bit by bit."""

import os
import random
import signal

import numpy as np
import paddle
import pytest
from small_run import assert_identical, everything, resume, run_of

from ppmm.engine.hooks import HookBase
from ppmm.engine.trainer import Interrupted
from ppmm.optim.averages import EMA, SWA
from ppmm.optim.optimizers import SGD, AdamW


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


@pytest.mark.parametrize("at", [3, 6])
def test_a_run_with_sam_resumes_bit_by_bit(at, tmp_path):
    whole = run_of(AdamW(0.05), tmp_path / "whole", sam=0.1)
    whole.fit()
    with pytest.raises(Interrupted):
        run_of(AdamW(0.05), tmp_path / "cut", [InterruptAt(at)], sam=0.1).fit()
    last = run_of(AdamW(0.05), tmp_path / "cut", sam=0.1)
    resume(last, tmp_path / "cut" / "last")
    last.fit()
    assert_identical(everything(last), everything(whole))
    plain = run_of(AdamW(0.05), tmp_path / "plain")
    plain.fit()
    assert not np.array_equal(everything(plain)["layers.0.weight"], everything(whole)["layers.0.weight"])


AVERAGES = [EMA(0.7), SWA(0.3, norm_batches=2), SWA(0.2, every=3, norm_batches=0)]


@pytest.mark.parametrize("average", AVERAGES, ids=["ema", "swa at epochs", "swa at steps"])
def test_a_run_with_an_average_resumes_bit_by_bit(average, tmp_path):
    """Interrupted before the first average, within an epoch and at its end; what is evaluated is the average."""
    whole = run_of(AdamW(0.05), tmp_path / "whole", average=average)
    whole.fit()
    wanted = everything(whole)
    assert not np.array_equal(wanted["average of layers.0.weight"], wanted["layers.0.weight"])
    with whole.averaging.applied():
        assert whole.evaluate(lambda: None) == whole.figures
    for at in (2, 7, 8):
        with pytest.raises(Interrupted):
            run_of(AdamW(0.05), tmp_path / str(at), [InterruptAt(at)], average=average).fit()
        last = run_of(AdamW(0.05), tmp_path / str(at), average=average)
        resume(last, tmp_path / str(at) / "last")
        last.fit()
        assert_identical(everything(last), wanted)


class Draws(HookBase):
    """Takes numbers from every global generator, as a plugin might."""

    def __init__(self):
        self.drawn = []

    def on_step(self, trainer):
        self.drawn.append((random.random(), float(np.random.rand()), float(paddle.rand([1]))))


def test_what_hooks_draw_from_global_generators_changes_no_step_and_resumes_too(whole, tmp_path):
    """Every step seeds them from (seed, step): no state of theirs is in a checkpoint."""
    recipe, _, wanted = whole
    hook = Draws()
    unbroken = run_of(recipe, tmp_path / "whole", [hook])
    unbroken.fit()
    assert_identical(everything(unbroken), wanted)
    first, second = Draws(), Draws()
    with pytest.raises(Interrupted):
        run_of(recipe, tmp_path / "cut", [first, InterruptAt(6)]).fit()
    random.seed(99), np.random.seed(99), paddle.seed(99)
    last = run_of(recipe, tmp_path / "cut", [second])
    resume(last, tmp_path / "cut" / "last")
    last.fit()
    assert_identical(everything(last), wanted)
    assert first.drawn + second.drawn == hook.drawn
    assert len(set(hook.drawn)) == 12
