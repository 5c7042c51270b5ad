"""Bad rows, dead workers and signals: no hang, orphan or riddle when something goes wrong while data are loaded."""

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
from loading import Rows, arrays, loader, no_children, wait_until

import ppmm
from ppmm.data.bad_rows import BadRows
from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.errors import DataError
from ppmm.modalities.numeric import NumericField

MAIN = os.getpid()


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    assert wait_until(no_children), multiprocessing.active_children()


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
