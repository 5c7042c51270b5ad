"""The loop: order of events, accumulation, limits, saving and signals."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from ppmm.engine.hooks import Checkpoints, EarlyStopping, HookBase
from ppmm.engine.trainer import Interrupted, Trainer
from ppmm.errors import CheckpointError, DataError


class CountedBatches:
    """Batches that are only numbers."""

    batch_size = 1

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def epoch(self, epoch, start=0):
        return iter([(epoch, batch) for batch in range(start, self.count)])


class FakeStep:
    """Records the groups of batches and their step numbers."""

    def __init__(self):
        self.calls = []
        self.scheduler = lambda: 0.5

    def set_rate(self, step):
        pass

    def __call__(self, batches, step):
        self.calls.append((step, [tuple(batch) for batch in batches]))
        return {"loss": float(step)}


class Recorder(HookBase):
    def __init__(self, log, name="", during=None):
        self.log, self.name, self.during = log, name, during or {}

    def _note(self, event, trainer):
        state = trainer.state
        self.log.append((f"{event}{self.name}", state.epoch, state.batch, state.step))
        self.during.get((event, state.step), lambda: None)()

    def on_start(self, trainer):
        self._note("start", trainer)

    def on_step(self, trainer):
        self._note("step", trainer)

    def on_epoch(self, trainer):
        self._note("epoch", trainer)

    def on_stop(self, trainer, error):
        self.log.append((f"stop{self.name}", type(error).__name__))


def trainer_of(batches, values=None, hooks=(), **options):
    """A trainer of numbered batches whose monitored figures are ``values``, epoch by epoch."""
    figures = iter(values) if values is not None else iter(range(1000, 0, -1))
    options = {"epochs": 2, "monitor": "loss", "mode": "min"} | options
    return Trainer(FakeStep(), CountedBatches(batches), lambda poll: {"loss": next(figures)}, hooks, **options)


# --- events ---------------------------------------------------------------------------------------------------------


def test_order_of_events():
    log = []
    trainer = trainer_of(2, hooks=[Recorder(log, " a"), Recorder(log, " b")])
    trainer.evaluate = lambda poll: log.append(("evaluate", trainer.state.step)) or {"loss": 1.0}
    trainer.fit()
    assert log == [
        ("start a", 0, 0, 0), ("start b", 0, 0, 0),
        ("step a", 0, 1, 1), ("step b", 0, 1, 1), ("step a", 0, 2, 2), ("step b", 0, 2, 2),
        ("evaluate", 2), ("epoch a", 1, 0, 2), ("epoch b", 1, 0, 2),
        ("step a", 1, 1, 3), ("step b", 1, 1, 3), ("step a", 1, 2, 4), ("step b", 1, 2, 4),
        ("evaluate", 4), ("epoch a", 2, 0, 4), ("epoch b", 2, 0, 4),
        ("stop a", "NoneType"), ("stop b", "NoneType"),
    ]  # fmt: skip


def test_terms_and_learning_rate_for_hooks():
    seen = []
    hook = SimpleNamespace(
        on_start=lambda t: None, on_epoch=lambda t: None, on_stop=lambda t, e: None,
        on_step=lambda t: seen.append((t.terms["loss"], t.learning_rate)),
    )  # fmt: skip
    trainer_of(3, hooks=[hook], epochs=1).fit()
    assert seen == [(0.0, 0.5), (1.0, 0.5), (2.0, 0.5)]


@pytest.mark.parametrize(
    ("mode", "values", "improved", "best"),
    [
        ("min", [3.0, 2.0, 2.0, 4.0, 1.0], [True, True, False, False, True], (1.0, 5)),
        ("max", [3.0, 2.0, 3.0, 4.0, 1.0], [True, False, False, True, False], (4.0, 4)),
        ("max", [0.0, -1.0], [True, False], (0.0, 1)),
        ("min", [0.0, 1.0], [True, False], (0.0, 1)),
        ("max", [float("nan"), 0.5, float("nan"), 0.4], None, (0.5, 2)),
        ("min", [float("nan"), 0.5, float("nan"), 0.6], None, (0.5, 2)),
    ],
)
def test_best_epoch(mode, values, improved, best):
    seen = []
    hook = Recorder([])
    hook.on_epoch = lambda trainer: seen.append(trainer.improved)
    trainer = trainer_of(1, values, [hook], epochs=len(values), mode=mode)
    trainer.fit()
    assert (trainer.state.best, trainer.state.best_step) == best
    assert improved is None or seen == improved


def test_an_error_reaches_every_hook_and_the_caller():
    log = []
    bad = Recorder(log, " a", {("step", 2): lambda: 1 / 0})
    trainer = trainer_of(3, hooks=[bad, Recorder(log, " b")])
    with pytest.raises(ZeroDivisionError):
        trainer.fit()
    assert log[-2:] == [("stop a", "ZeroDivisionError"), ("stop b", "ZeroDivisionError")]


def test_an_error_at_the_start_reaches_the_hooks_and_gives_the_signals_back():
    log = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    trainer = trainer_of(1, hooks=[Recorder(log, during={("start", 0): lambda: 1 / 0})])
    try:
        with pytest.raises(ZeroDivisionError):
            trainer.fit()
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert log[-1] == ("stop", "ZeroDivisionError"), "on_stop comes last, whether the run ended well or not"


# --- how far --------------------------------------------------------------------------------------------------------


def test_accumulation_with_an_uneven_last_group():
    trainer = trainer_of(5, accumulate=2)
    trainer.fit()
    groups = [[(e, 0), (e, 1)] for e in (0, 1)], [[(e, 2), (e, 3)] for e in (0, 1)], [[(e, 4)] for e in (0, 1)]
    assert trainer.step.calls == [
        (0, groups[0][0]), (1, groups[1][0]), (2, groups[2][0]),
        (3, groups[0][1]), (4, groups[1][1]), (5, groups[2][1]),
    ]  # fmt: skip
    assert trainer.total_steps == 6 == trainer.state.step


@pytest.mark.parametrize(
    ("max_steps", "total", "epochs"), [(None, 6, 2), (1, 1, 1), (3, 3, 1), (4, 4, 2), (6, 6, 2), (100, 6, 2)]
)
def test_max_steps(max_steps, total, epochs):
    log = []
    trainer = trainer_of(5, hooks=[Recorder(log)], accumulate=2, max_steps=max_steps)
    trainer.fit()
    assert trainer.total_steps == total == len(trainer.step.calls)
    assert sum(entry[0] == "epoch" for entry in log) == epochs, "every epoch begun is evaluated, once"


def test_a_hook_may_ask_for_the_end():
    log = []
    trainer = trainer_of(2, hooks=[Recorder(log)], epochs=5)
    trainer.hooks[0].during[("step", 3)] = lambda: trainer.stop("enough")
    trainer.fit()
    assert trainer.state.epoch == 2 and trainer.state.stopped == "enough" and log[-1] == ("stop", "NoneType")


# --- early stopping -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "patience", "min_delta", "values", "epochs"),
    [
        ("max", 2, 0.0, [0.5, 0.6, 0.6, 0.5, 0.9], 4),
        ("max", 1, 0.0, [0.5, 0.6, 0.6, 0.9], 3),
        ("max", 2, 0.0, [0.5, 0.4, 0.6, 0.5, 0.7, 0.8], 6),
        ("max", 2, 0.1, [0.5, 0.55, 0.58, 0.9], 3),
        ("max", 2, 0.1, [0.5, 0.55, 0.61, 0.62, 0.75, 0.8], 6),
        ("min", 2, 0.0, [0.5, 0.4, 0.4, 0.4, 0.1], 4),
        ("min", 2, 0.1, [0.5, 0.45, 0.3, 0.25, 0.21, 0.1], 5),
        ("max", 2, 0.0, [float("nan"), 0.5, 0.6, 0.7], 4),
        ("max", 2, 0.0, [0.5, float("nan"), float("nan"), 0.7], 3),
    ],
)
def test_early_stopping(mode, patience, min_delta, values, epochs):
    trainer = trainer_of(1, values, [EarlyStopping(patience, min_delta)], epochs=len(values), mode=mode)
    trainer.fit()
    assert trainer.state.epoch == epochs
    assert ("not improved" in trainer.state.stopped) == (epochs < len(values))


@pytest.mark.parametrize("at", [1, 2, 3])
def test_early_stopping_counts_on_after_a_resume(at):
    values = [0.5, 0.9, 0.8, 0.7, 0.95]
    first = trainer_of(1, values, [EarlyStopping(2)], epochs=at, mode="max")
    first.fit()
    second = trainer_of(1, values[at:], [EarlyStopping(2)], epochs=5, mode="max")
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.fit()
    assert second.state.epoch == 4 and second.state.best == 0.9


def test_hooks_of_the_first_checkpoints_which_had_no_number_are_read():
    saved = trainer_of(1, [0.5, 0.9, 0.8], [EarlyStopping(2)], epochs=3, mode="max")
    saved.fit()
    document = json.loads(json.dumps(saved.state_dict()))
    document["hooks"] = {name.removesuffix(".0"): state for name, state in document["hooks"].items()}
    trainer = trainer_of(1, [0.7], [EarlyStopping(2)], epochs=5, mode="max")
    trainer.load_state_dict(document)
    assert trainer.hooks[0].best == 0.9 and trainer.hooks[0].waited == 1


@pytest.mark.parametrize("arguments", [{"patience": 0}, {"patience": 1, "min_delta": -0.1}])
def test_early_stopping_refuses(arguments):
    with pytest.raises(ValueError, match=r"patience|min_delta"):
        EarlyStopping(**arguments)


# --- saving ---------------------------------------------------------------------------------------------------------


def saves(values, every=None, **options):
    log = []
    hook = Checkpoints(lambda name, trainer: log.append((name, trainer.state.epoch, trainer.state.step)), every)
    return trainer_of(3, values, [hook], **options), log


def test_last_after_each_epoch_and_best_when_it_improved():
    trainer, log = saves([2.0, 1.0, 3.0], epochs=3)
    trainer.fit()
    assert log == [("last", 0, 0), ("best", 1, 3), ("last", 1, 3), ("best", 2, 6), ("last", 2, 6), ("last", 3, 9)]


@pytest.mark.parametrize(("world", "shared", "saved"), [(1, False, True), (2, False, False), (2, True, True)])
def test_an_error_of_one_process_alone_saves_nothing(world, shared, saved):
    """Saving takes all of them (statistics are averaged): with an error that the others do not have they would wait."""
    log = []
    error = DataError("no space left")
    error.shared = shared
    trainer = SimpleNamespace(processes=SimpleNamespace(world=world), state=SimpleNamespace(step=3))
    Checkpoints(lambda name, trainer: log.append(name)).on_stop(trainer, error)
    assert log == ["last"] * saved


def test_last_within_an_epoch():
    trainer, log = saves([2.0, 1.0], every=2)
    trainer.fit()
    assert [entry for entry in log if entry[0] == "last"] == [
        ("last", 0, 0), ("last", 0, 2), ("last", 1, 3), ("last", 1, 4), ("last", 1, 6), ("last", 2, 6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "saved"),
    [(Interrupted(130), True), (DataError("row 7"), True), (ValueError(), False), (KeyboardInterrupt(), False)],
)
def test_saved_when_broken_off_between_steps_but_not_within_one(error, saved):
    trainer, log = saves([1.0])
    whole = trainer.step

    def fail_second(batches, step):
        if step:
            raise error
        return whole(batches, step)

    trainer.step = fail_second
    with pytest.raises(type(error)):
        trainer.fit()
    assert log == [("last", 0, 0)] + [("last", 0, 1)] * saved


# --- signals --------------------------------------------------------------------------------------------------------


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_step(number, code):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    log = []
    trainer = trainer_of(5, hooks=[Recorder(log)])

    def step(batches, count):
        if count == 2:
            send(number)()
        return {"loss": 0.0}

    step.scheduler = lambda: 0.0
    trainer.step = step
    with pytest.raises(Interrupted) as caught:
        trainer.fit()
    assert caught.value.code == code and isinstance(caught.value, KeyboardInterrupt)
    assert log[-2:] == [("step", 0, 3, 3), ("stop", "Interrupted")], "the step under way is finished and counted"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_during_the_evaluation_ends_it():
    log = []
    trainer = trainer_of(2, hooks=[Recorder(log)])
    batches = []

    def validate(poll):
        for number in range(5):
            batches.append(number)
            if number == 1:
                send(signal.SIGINT)()
            poll()

    trainer.evaluate = validate
    with pytest.raises(Interrupted):
        trainer.fit()
    assert batches == [0, 1] and log[-1] == ("stop", "Interrupted")
    assert (trainer.state.epoch, trainer.state.batch) == (0, 2)
    again = trainer_of(2, [5.0, 6.0])
    again.load_state_dict(trainer.state_dict())
    again.fit()
    assert [step for step, _ in again.step.calls] == [2, 3] and again.state.epoch == 2 and again.state.best == 5.0


def test_a_second_signal_ends_it_at_once():
    log = []
    trainer = trainer_of(5, hooks=[Recorder(log)])

    def step(batches, count):
        send(signal.SIGINT)()
        send(signal.SIGINT)()
        log.append("still there")

    trainer.step = step
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit()
    assert not isinstance(caught.value, Interrupted) and "still there" not in log
    assert log[-1] == ("stop", "KeyboardInterrupt")


def test_state_of_another_form_is_refused():
    for saved in ({"epoch": 1, "surprise": 2}, ["epoch"], None):
        with pytest.raises(CheckpointError, match="not of this version"):
            trainer_of(1).load_state_dict(saved)


# --- what hooks do wrong --------------------------------------------------------------------------------------------


def test_every_hook_hears_of_the_end_though_one_fails_then(capsys):
    log = []
    bad = Recorder([], during={("step", 2): lambda: 1 / 0})
    bad.on_stop = lambda trainer, error: [][0]
    trainer = trainer_of(3, hooks=[bad, Recorder(log)])
    with pytest.raises(ZeroDivisionError):
        trainer.fit()
    assert log[-1] == ("stop", "ZeroDivisionError")
    assert "Recorder.on_stop: IndexError: list index out of range" in capsys.readouterr().err


def test_a_hook_that_fails_at_the_end_of_a_good_run_is_heard():
    log = []
    bad = Recorder([])
    bad.on_stop = lambda trainer, error: [][0]
    trainer = trainer_of(1, hooks=[bad, Recorder(log)])
    with pytest.raises(IndexError):
        trainer.fit()
    assert log[-1] == ("stop", "NoneType")
