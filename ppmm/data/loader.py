"""Batches of tensors, decoded by worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

import numpy as np
import paddle

from ppmm.data.collate import Collate
from ppmm.data.mixing import batch_generator
from ppmm.data.prepared import Prepared
from ppmm.data.sampler import epoch_batches
from ppmm.errors import DataError
from ppmm.types import Batch, BatchAugmentation

__all__ = ["Loader"]

Keys = list[tuple[int, int]]
AHEAD = 4
"""Batches that each worker prepares ahead of the training step."""


class Loader:
    """The batches of a prepared data set, epoch by epoch.

    A standard process pool is used rather than paddle.io.DataLoader, which hangs when a worker is killed and prints
    a stack trace for every bad row. A batch depends on its keys alone, so it is the same for any number of workers.

    Args:
        dataset: what to load.
        batch_size: rows of a batch.
        workers: processes that decode; 0 decodes in this one.
        shuffle: a new order in every epoch, from the data set's seed.
        drop_last: leave out an incomplete last batch.
        mix: one of these mixes the rows of each batch, seeded by the run's seed and the batch's keys.
    """

    def __init__(
        self,
        dataset: Prepared,
        batch_size: int,
        workers: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        mix: Sequence[BatchAugmentation] = (),
    ) -> None:
        if len(dataset) == 0:
            raise DataError("the data set has no rows")
        self.dataset = dataset
        self.batch_size = batch_size
        self.workers = workers
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate = Collate(dataset.fields, dataset.targets, mix)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._batches(0))

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``start`` on. Raises DataError naming the row that cannot be read."""
        keys = self._batches(epoch)[start:]
        arrays = self._in_workers(keys) if self.workers and keys else map(self.load, keys)
        for batch in arrays:
            yield {name: paddle.to_tensor(array) for name, array in batch.items()}

    def load(self, keys: Keys) -> Mapping[str, np.ndarray]:
        """One batch of arrays."""
        return self.collate([self.dataset[key] for key in keys], batch_generator(self.dataset.seed, keys))

    def _batches(self, epoch: int) -> list[Keys]:
        return epoch_batches(
            len(self.dataset), self.batch_size, seed=self.dataset.seed, epoch=epoch,
            shuffle=self.shuffle, drop_last=self.drop_last,
        )  # fmt: skip

    def _in_workers(self, keys: list[Keys]) -> Iterator[Mapping[str, np.ndarray]]:
        pool = ProcessPoolExecutor(
            self.workers, multiprocessing.get_context("fork"), initializer=_start_worker, initargs=(self, os.getpid())
        )
        waiting: deque[tuple[Keys, Future[Mapping[str, np.ndarray]]]] = deque()
        todo = iter(keys)
        batch = keys[0]
        try:
            while True:
                for following in islice(todo, AHEAD * self.workers - len(waiting)):
                    waiting.append((following, _submit(pool, following)))
                if not waiting:
                    return
                batch, future = waiting.popleft()
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError(self._killed(waiting[0][0] if waiting else batch)) from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _killed(self, keys: Keys) -> str:
        first, last = self.dataset.rows[keys[0][1]]["id"], self.dataset.rows[keys[-1][1]]["id"]
        return (
            f"a data worker was killed (out of memory?) at or after the batch of rows {first} ... {last}; "
            "set loader.workers to 0 to see where"
        )


_loader: Loader | None = None
"""In a worker process: the loader that it works for (inherited by fork, never sent)."""


def _submit(pool: ProcessPoolExecutor, keys: Keys) -> Future[Mapping[str, np.ndarray]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        return pool.submit(_load, keys)


def _start_worker(loader: Loader, parent: int) -> None:
    """Ctrl-C reaches every process of a terminal: the main one decides; and no worker outlives a killed main one."""
    global _loader
    _loader = loader
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _load(keys: Keys) -> Mapping[str, np.ndarray]:
    assert _loader is not None
    return _loader.load(keys)
