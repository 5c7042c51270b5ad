"""Batches from worker processes: the same as without, whatever the order, the start and the number of workers."""

import multiprocessing
import time

import numpy as np
import pytest
from loading import Rows, arrays, assert_same, loader, no_children, wait_until

from ppmm.data.bad_rows import BadRows
from ppmm.data.loader import AHEAD, Loader
from ppmm.data.prepared import Prepared
from ppmm.data.samplers.class_balanced import ClassBalanced
from ppmm.data.samplers.shuffle_buffer import ShuffleBuffer
from ppmm.errors import DataError
from ppmm.modalities.numeric import NumericField


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    assert wait_until(no_children), multiprocessing.active_children()


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
    "second_of_three": {"shuffle": True, "rank": 1, "world": 3, "batch_size": 6},
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
    parts = [arrays(loader(Rows(23), batch_size=6, shuffle=True, rank=r, world=3).epoch(1)) for r in range(3)]
    assert {len(part) for part in parts} == {4}
    for number, batch in enumerate(whole):
        together = np.concatenate([part[number]["index"] for part in parts])
        assert together.tolist() == batch["index"].tolist()
    with pytest.raises(ValueError, match="rank 3 of 3"):
        loader(rank=3, world=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_process_may_have_no_row_of_the_last_batch(workers):
    """7 rows in batches of 3: the last one has a single row, for the first of three processes."""
    parts = [arrays(loader(Rows(7), workers, batch_size=3, rank=r, world=3).epoch()) for r in range(3)]
    assert [[len(batch.get("index", [])) for batch in part] for part in parts] == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert parts[1][2] == {}
