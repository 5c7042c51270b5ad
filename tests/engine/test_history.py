"""history.jsonl: what stands in it, and what a resumed run does with it."""

import json
from types import SimpleNamespace

import pytest

from ppmm.engine.distributed import SINGLE
from ppmm.engine.history import History
from ppmm.engine.trainer import TrainState


def strict(line):
    """JSON as everyone else reads it: without NaN and Infinity."""

    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    return json.loads(line, parse_constant=refuse)


def lines(path):
    return [strict(line) for line in path.read_text().splitlines()]


def trainer_at(step, epoch=0, figures=None, seconds=1.23456, waited=0.0, **terms):
    """Each step has two batches, of two rows and of one."""
    state = TrainState(epoch=epoch, step=step, seconds=seconds)
    batches = [{"index": [1, 2]}, {"index": [3]}]
    return SimpleNamespace(
        state=state, terms=terms, figures=figures or {}, learning_rate=0.5, waited=waited, batches=batches,
        step=SimpleNamespace(processes=SINGLE),
    )  # fmt: skip


def play(history, first, last, epoch_ends=()):
    """Steps ``first`` ... ``last`` whose loss is the step's number."""
    for step in range(first, last + 1):
        history.on_step(trainer_at(step, loss=float(step), other=1.0))
        if step in epoch_ends:
            history.on_epoch(trainer_at(step, 1, {"accuracy": step / 10}))


def test_means_since_the_line_before(tmp_path):
    history = History(tmp_path / "run" / "history.jsonl", every=2)
    history.on_start(trainer_at(0))
    play(history, 1, 5, epoch_ends=[5])
    found = lines(tmp_path / "run" / "history.jsonl")
    assert [line["step"] for line in found] == [2, 4, 5]
    assert [line["train"] for line in found] == [{"loss": m, "other": 1.0} for m in (1.5, 3.5, 5.0)]
    assert 50 < found[0].pop("memory_mb") < 1e6
    assert found[0] == {
        "step": 2, "epoch": 0, "seconds": 1.235, "learning_rate": 0.5, "train": {"loss": 1.5, "other": 1.0}
    }  # fmt: skip
    assert found[2]["val"] == {"accuracy": 0.5} and "val" not in found[0]


@pytest.mark.parametrize(("resumed_at", "kept"), [(4, [2, 4]), (5, [2, 4]), (0, []), (9, [2, 4, 6])])
def test_a_resumed_run_drops_what_comes_after_its_checkpoint(tmp_path, resumed_at, kept):
    path = tmp_path / "history.jsonl"
    first = History(path, every=2)
    first.on_start(trainer_at(0))
    play(first, 1, 7)
    with path.open("a") as file:
        file.write('{"step": 8, "epo')  # cut by a kill
    second = History(path, every=2)
    second.on_start(trainer_at(resumed_at))
    assert [line["step"] for line in lines(path)] == kept
    play(second, resumed_at + 1, resumed_at + 4)
    steps = [line["step"] for line in lines(path)]
    assert steps == sorted(set(steps)) and steps[: len(kept)] == kept


def test_a_figure_that_is_not_a_number_leaves_the_file_valid(tmp_path):
    """Browsers and most readers refuse a bare NaN."""
    history = History(tmp_path / "history.jsonl", every=1)
    history.on_start(trainer_at(0))
    history.on_step(trainer_at(1, loss=2.0))
    history.on_epoch(trainer_at(1, 1, {"macro_f1": float("nan"), "loss": float("inf"), "accuracy": 0.5}))
    assert lines(tmp_path / "history.jsonl")[-1]["val"]["accuracy"] == 0.5


def test_resume_between_the_last_step_and_its_evaluation_writes_the_epoch_once(tmp_path):
    """``last`` is saved at the epoch's last step; the run is killed after its figures were written."""
    path = tmp_path / "history.jsonl"
    first = History(path, every=10)
    first.on_start(trainer_at(0))
    play(first, 1, 4, epoch_ends=[4])
    second = History(path, every=10)
    resumed = trainer_at(4)
    resumed.state.batch = 4
    second.on_start(resumed)
    second.on_epoch(trainer_at(4, 1, {"accuracy": 0.4}))
    assert sum("val" in line for line in lines(path)) == 1


def test_pace_and_memory(tmp_path):
    history = History(tmp_path / "history.jsonl", every=2)
    history.on_start(trainer_at(0, seconds=10.0, waited=1.0))
    history.on_step(trainer_at(1, seconds=11.0, waited=1.0, loss=1.0))
    history.on_step(trainer_at(2, seconds=14.0, waited=2.0, loss=1.0))
    history.on_step(trainer_at(3, seconds=14.5, waited=2.0, loss=1.0))
    history.on_epoch(trainer_at(3, 1, {"accuracy": 0.5}, seconds=14.5, waited=2.0))
    first, second = lines(tmp_path / "history.jsonl")
    assert (first["samples_per_second"], first["data_wait"]) == (6 / 4, 1 / 4)
    assert (second["samples_per_second"], second["data_wait"]) == (3 / 0.5, 0.0)
    assert first["memory_mb"] > 0 and "gpu_memory_mb" not in first
