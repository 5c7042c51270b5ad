"""A loader of rows whose values are known, and what tests of it share."""

import multiprocessing
import time

import numpy as np

from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.modalities.label import Label
from ppmm.modalities.numeric import NumericField


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
