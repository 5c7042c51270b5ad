"""Batches from worker processes: the same as without, and no hang, orphan or riddle when something goes wrong."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ppmm
from ppmm.data.loader import AHEAD, Loader
from ppmm.data.prepared import Prepared
from ppmm.errors import DataError
from ppmm.modalities.label import Label
from ppmm.modalities.numeric import NumericField

MAIN = os.getpid()


class Noisy(NumericField):
    def __call__(self, value, rng=None):
        array = super().__call__(value, rng)
        return array if rng is None else array + rng.random(self.size).astype("float32")


class Rows:
    """Rows [i, 2 i]; every third lacks its second field. ``act`` is called with each number, in whichever process."""

    def __init__(self, count=23, act=lambda index: None):
        self.count, self.act = count, act

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.act(index)
        row = {"id": f"row-{index}", "sensor": [index, 2 * index], "y": index % 3}
        return row if index % 3 == 0 else {**row, "extra": [index]}


def loader(rows=None, workers=0, batch_size=5, training=False, shuffle=False, seed=0, **options):
    fields = {"sensor": Noisy(2), "extra": Noisy(1)}
    data = Prepared(
        rows or Rows(), fields, {"y": Label([0, 1, 2])}, seed=seed, training=training, dropout={"extra": 0.3}
    )
    return Loader(data, batch_size, workers, shuffle, **options)


def arrays(batches):
    return [{name: tensor.numpy() for name, tensor in batch.items()} for batch in batches]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert set(one) == set(other)
        for name in other:
            assert one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]), name


def wait_until(condition, seconds=10.0):
    """Polls; generous, as the machine may be busy. Returns whether the condition became true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def no_children():
    return not multiprocessing.active_children()


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    assert wait_until(no_children), multiprocessing.active_children()


# --- what is loaded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_values(workers):
    batches = arrays(loader(workers=workers).epoch())
    assert [len(batch["index"]) for batch in batches] == [5, 5, 5, 5, 3]
    second = batches[1]
    assert second["index"].tolist() == [5, 6, 7, 8, 9] and second["y"].tolist() == [2, 0, 1, 2, 0]
    assert second["sensor"].tolist() == [[i, 2 * i] for i in range(5, 10)]
    assert second["has_extra"].tolist() == [True, False, True, True, False]
    assert second["extra"].tolist() == [[5], [0], [7], [8], [0]]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same(workers):
    options = {"training": True, "shuffle": True, "seed": 4}
    for epoch in (0, 3):
        wanted = arrays(loader(**options).epoch(epoch))
        assert_same(arrays(loader(workers=workers, **options).epoch(epoch)), wanted)
    assert not np.array_equal(wanted[0]["index"], np.arange(5))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 9])
def test_start_in_mid_epoch(workers, start):
    options = {"training": True, "shuffle": True}
    wanted = arrays(loader(**options).epoch(2))[start:]
    assert_same(arrays(loader(workers=workers, **options).epoch(2, start)), wanted)


@pytest.mark.parametrize(("rows", "drop_last", "count"), [(23, False, 5), (23, True, 4), (20, True, 4), (3, True, 1)])
def test_length(rows, drop_last, count):
    found = loader(Rows(rows), drop_last=drop_last)
    assert len(found) == count == len(list(found.epoch()))


def test_more_batches_than_are_prepared_ahead():
    count = 3 * AHEAD * 2 + 1
    batches = arrays(loader(Rows(count), workers=2, batch_size=1).epoch())
    assert [batch["index"].tolist() for batch in batches] == [[i] for i in range(count)]


def test_two_epochs_at_the_same_time():
    found = loader(workers=1)
    wanted = arrays(found.epoch(0))
    pairs = list(zip(arrays(found.epoch(0)), arrays(found.epoch(0)), strict=True))
    assert_same([one for one, _ in pairs], wanted)
    assert_same([other for _, other in pairs], wanted)


def test_workers_prepare_no_more_than_they_should(tmp_path):
    """Memory is bounded: with 1 worker at most AHEAD batches wait, plus the one in use."""
    seen = tmp_path / "seen"

    def note(index):
        with seen.open("a") as file:
            file.write(f"{index}\n")

    batches = loader(Rows(60, note), workers=1, batch_size=1).epoch()
    next(batches)
    wait_until(lambda: len(seen.read_text().splitlines()) >= AHEAD)
    time.sleep(0.2)
    assert len(seen.read_text().splitlines()) <= AHEAD + 1
    batches.close()


def test_no_rows():
    with pytest.raises(DataError, match="no rows"):
        Loader(Prepared([], {"sensor": NumericField(1)}, {}), 4)


# --- what goes wrong ------------------------------------------------------------------------------------------------


class Broken(Rows):
    def __getitem__(self, index):
        row = super().__getitem__(index)
        return {**row, "sensor": "x y"} if index == 12 else row


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_bad_row_names_itself_after_the_good_batches(workers):
    batches = loader(Broken(), workers=workers).epoch()
    assert [next(batches)["index"].tolist()[0] for _ in range(2)] == [0, 5]
    with pytest.raises(DataError, match=r"^row-12 sensor: expected 2 numbers"):
        next(batches)
    assert list(batches) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unexpected_error_keeps_its_type(workers):
    def act(index):
        if index == 7:
            raise ZeroDivisionError("in a row")

    with pytest.raises(ZeroDivisionError, match="in a row"):
        list(loader(Rows(act=act), workers=workers).epoch())


def die_at(number):
    def act(index):
        if index == number and os.getpid() != MAIN:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("row", "count"), [(0, 23), (12, 23), (22, 23), (100, 200)])
def test_a_killed_worker_is_a_data_error(workers, row, count):
    """Such as the kernel does when memory runs out."""
    with pytest.raises(DataError, match=r"worker was killed .* row-\d+ \.\.\. row-\d+"):
        list(loader(Rows(count, die_at(row)), workers=workers).epoch())


def test_a_worker_killed_while_a_training_step_runs(tmp_path):
    """The pool knows of it before the next batch is asked for."""
    batches = loader(Rows(500), workers=2).epoch()
    next(batches)
    victims = multiprocessing.active_children()
    os.kill(victims[0].pid, signal.SIGKILL)
    assert wait_until(lambda: not any(victim.is_alive() for victim in victims))
    with pytest.raises(DataError, match="worker was killed"):
        list(batches)


def test_an_epoch_that_is_not_finished_leaves_no_worker():
    batches = loader(Rows(500), workers=2).epoch()
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert wait_until(no_children)


def test_ctrl_c_is_left_to_the_main_process(tmp_path):
    """A terminal sends it to every process of the group."""

    def act(index):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0.002)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest may have been started in the background
    try:
        batches = loader(Rows(100, act), workers=2).epoch()
        found = [next(batches)["index"].tolist()]
    finally:
        signal.signal(signal.SIGINT, before)
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2), "a worker has not begun"
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
    found += [batch["index"].tolist() for batch in batches]
    assert [row for batch in found for row in batch] == list(range(100))


ORPHANS = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.modalities.numeric import NumericField

class Rows:
    def __len__(self):
        return 10_000
    def __getitem__(self, index):
        open(os.path.join(sys.argv[2], str(os.getpid())), "w").close()
        time.sleep(0.01)
        return {"id": str(index), "sensor": [index]}

for batch in Loader(Prepared(Rows(), {"sensor": NumericField(1)}, {}), 2, workers=2).epoch():
    time.sleep(0.01)
"""


def running(pid):
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_worker_outlives_a_killed_main_process(tmp_path):
    root = Path(ppmm.__file__).parents[1]
    main = subprocess.Popen([sys.executable, "-c", ORPHANS, str(root), str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2 or main.poll() is not None, 60)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        assert len(workers) == 2 and main.pid not in workers and all(running(pid) for pid in workers)
    finally:
        main.kill()
        main.wait()
    gone = wait_until(lambda: not any(running(pid) for pid in workers))
    for pid in workers:
        if running(pid):
            os.kill(pid, signal.SIGKILL)
    assert gone, "workers live on without their main process"
