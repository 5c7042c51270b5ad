"""Batches from worker processes: the same as without, and no hang, orphan or riddle when something goes wrong."""

import json
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
from ppmm.data.bad_rows import BadRows
from ppmm.data.loader import AHEAD, Loader
from ppmm.data.prepared import Prepared
from ppmm.data.samplers.class_balanced import ClassBalanced
from ppmm.data.samplers.shuffle_buffer import ShuffleBuffer
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


def test_workers_live_from_epoch_to_epoch():
    found = loader(workers=2)
    list(found.epoch(0))
    first = {worker.pid for worker in multiprocessing.active_children()}
    wanted = [arrays(loader().epoch(epoch)) for epoch in (1, 2)]
    for epoch in (1, 2):
        assert_same(arrays(found.epoch(epoch)), wanted[epoch - 1])
    assert {worker.pid for worker in multiprocessing.active_children()} == first and len(first) == 2


def test_batches_of_growing_size_pass_through_shared_memory():
    """Each is larger than the last, so that the memory grows while others are under way."""

    class Growing(Rows):
        def __getitem__(self, index):
            return {"id": str(index), "text": np.full((index + 1) * 3000, index, np.float32)}

    class Long(NumericField):
        kind = "audio"

        def __call__(self, value, rng=None):
            return value

        def collate(self, name, values):
            return {name: np.stack(values)}

    data = Prepared(Growing(40), {"text": Long(1)}, {})
    for epoch in range(2):
        for index, batch in enumerate(Loader(data, 1, 2).epoch(epoch)):
            found = batch["text"].numpy()
            assert found.shape == (1, (index + 1) * 3000) and (found == index).all()


OPTIONS = {
    "plain": {"shuffle": True},
    "bucketed": {"shuffle": True, "bucket_by": "size", "bucket_window": 2},
    "balanced": {"sampler": ClassBalanced("y", rows=31)},
    "buffer": {"sampler": ShuffleBuffer(4)},
    "bucketed_balanced": {"sampler": ClassBalanced("y", 0.5), "bucket_by": "size", "drop_last": True},
    "second_of_three": {"shuffle": True, "rank": 1, "world": 3, "batch_size": 2},
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_gives_the_same_for_any_number_of_workers_and_any_start(name, policy):
    class Sized(Rows):
        def __getitem__(self, index):
            row = {**super().__getitem__(index), "size": index * 7 % 11 + 1}
            return {**row, "sensor": "x y"} if index % 5 == 2 and policy == "skip" else row

    def make(workers):
        bad = BadRows(policy)
        return loader(Sized(), workers, training=True, seed=3, bad_rows=bad, **{"batch_size": 3, **OPTIONS[name]})

    for epoch in (0, 2):
        wanted = arrays(make(0).epoch(epoch))
        assert len(wanted) == len(make(0))
        for workers in (1, 4):
            assert_same(arrays(make(workers).epoch(epoch)), wanted)
        assert_same(arrays(make(2).epoch(epoch, 2)), wanted[2:])


def test_a_row_that_comes_twice_is_augmented_in_two_ways():
    rows = loader(Rows(4), sampler=ClassBalanced("y", rows=12), training=True, batch_size=12)
    (batch,) = arrays(rows.epoch())
    noise = {index: set() for index in range(4)}
    for index, sensor in zip(batch["index"], batch["sensor"], strict=True):
        noise[index].add(tuple(sensor))
    assert sorted(len(found) for found in noise.values()) == [2, 2, 4, 4], "classes 0: rows 0 and 3; 1: 1; 2: 2"


def test_processes_share_each_global_batch():
    whole = arrays(loader(Rows(23), batch_size=6, shuffle=True).epoch(1))
    parts = [arrays(loader(Rows(23), batch_size=2, shuffle=True, rank=r, world=3).epoch(1)) for r in range(3)]
    assert {len(part) for part in parts} == {4}
    for number, batch in enumerate(whole):
        together = np.concatenate([part[number]["index"] for part in parts])
        assert together.tolist() == batch["index"].tolist()
    with pytest.raises(ValueError, match="rank 3 of 3"):
        loader(rank=3, world=3)


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


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_rows_are_left_out_and_listed(workers, tmp_path, capsys):
    path = tmp_path / "quarantine.jsonl"
    found = loader(Broken(), workers=workers, bad_rows=BadRows("quarantine", 1, path))
    for _ in range(2):
        batches = arrays(found.epoch())
        assert [batch["index"].tolist() for batch in batches][2] == [10, 11, 13, 14]
    assert found.skipped == 1
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["row"] == 12 and json.loads(line)["reason"].startswith("row-12 sensor: expected 2 numbers")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("left out 1 unreadable rows so far") and "row-12" in said


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_bad_rows_end_the_run(workers):
    class Bad(Rows):
        def __getitem__(self, index):
            return {**super().__getitem__(index), "sensor": "x"} if index >= 6 else super().__getitem__(index)

    batches = loader(Bad(), workers=workers, bad_rows=BadRows("skip", 3)).epoch()
    assert next(batches)["index"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match=r"4 rows cannot be read, more than loader\.max_bad_rows 3; the last is row-9"):
        list(batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_without_a_good_row(workers):
    """In training the next one stands in for it, so that positions stay; in evaluation no row may come twice."""

    class Bad(Rows):
        def __getitem__(self, index):
            return {**super().__getitem__(index), "sensor": "x"} if index in (2, 3, 22) else super().__getitem__(index)

    def rows(**options):
        found = loader(Bad(), workers, batch_size=2, bad_rows=BadRows("skip"), **options)
        return [batch["index"].tolist() for batch in arrays(found.epoch())]

    assert rows() == [[0, 1], *([i, i + 1] for i in range(4, 22, 2))]
    in_order = rows(sampler=InOrder())
    assert in_order[1] == in_order[2] == [4, 5] and in_order[11] == [0, 1] and len(in_order) == 12
    with pytest.raises(DataError, match=r"no row can be read; the first: row-0"):
        loader_of_nothing = loader(NothingGood(), workers, bad_rows=BadRows("skip"), sampler=InOrder())
        list(loader_of_nothing.epoch())


class NothingGood(Rows):
    def __getitem__(self, index):
        return {**super().__getitem__(index), "sensor": "x"}


class InOrder:
    def order(self, rows, seed, epoch):
        return np.arange(len(rows))


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
    """Such as the kernel does when memory runs out. Here while the data set itself opens a row: the id is not known."""
    with pytest.raises(DataError, match=rf"worker was killed by SIGKILL \(out of memory\?\).* row number {row} "):
        list(loader(Rows(count, die_at(row)), workers=workers).epoch())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("row", [1, 12, 100])
def test_a_worker_that_dies_names_the_very_row(number, row):
    """Such as a decoder does on a file that is made to crash it."""

    class Deadly(NumericField):
        def __call__(self, value, rng=None):
            if value[0] == row:
                os.kill(os.getpid(), number)
            return super().__call__(value, rng)

    data = Prepared(Rows(200), {"sensor": Deadly(2)}, {})
    with pytest.raises(DataError, match=rf"worker was killed by {number.name}.* while it read row-{row};"):
        list(Loader(data, 5, 2).epoch())


def test_a_worker_that_ends_by_itself():
    def act(index):
        if index == 3:
            os._exit(7)

    with pytest.raises(DataError, match=r"a data worker ended with code 7 while it opened row number 3"):
        list(loader(Rows(act=act), workers=2).epoch())


def test_a_worker_killed_while_a_training_step_runs(tmp_path):
    """What it was to make next is missed, and by whom."""
    batches = loader(Rows(500), workers=2).epoch()
    next(batches)
    victims = multiprocessing.active_children()
    os.kill(victims[0].pid, signal.SIGKILL)
    assert wait_until(lambda: not victims[0].is_alive())
    with pytest.raises(DataError, match=r"worker was killed by SIGKILL"):
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
