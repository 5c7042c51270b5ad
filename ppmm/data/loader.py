"""Batches of tensors, decoded by worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from ppmm.data.bad_rows import BadRow, BadRows
from ppmm.data.collate import Collate
from ppmm.data.columns import lengths_of
from ppmm.data.mixing import batch_generator
from ppmm.data.prepared import Prepared
from ppmm.data.sampler import bucketed, cut, numbered, plain_order, share_of
from ppmm.data.upload import uploaded
from ppmm.data.workers import Arrays, Marker, Workers
from ppmm.errors import DataError
from ppmm.types import Batch, BatchAugmentation, Sampler

__all__ = ["Loader"]

AHEAD = 4
"""Batches that each worker prepares ahead of the training step."""


class Loader:
    """The batches of a prepared data set, epoch by epoch.

    paddle.io.DataLoader hangs when a worker is killed and prints a stack trace for every bad row. Here a batch depends
    on its keys alone, so it is the same for any number of workers, and any position can be resumed. The workers live
    as long as the loader.

    Args:
        dataset: what to load.
        batch_size: rows of a batch.
        workers: processes that decode; 0 decodes in this one.
        shuffle: a new order in every epoch, from the data set's seed.
        drop_last: leave out an incomplete last batch.
        mix: one of these mixes the rows of each batch, seeded by the run's seed and the batch's keys.
        sampler: another order than a plain shuffle; training only.
        bucket_by: a field or column: rows alike long in it share batches; training only.
        bucket_window: batches among which they are looked for.
        rank: number of this process.
        world: how many there are; each gets its share of every global batch of ``world * batch_size`` rows.
        bad_rows: what to do with rows that cannot be read.
    """

    def __init__(
        self,
        dataset: Prepared,
        batch_size: int,
        workers: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        mix: Sequence[BatchAugmentation] = (),
        *,
        sampler: Sampler | None = None,
        bucket_by: str | None = None,
        bucket_window: int = 50,
        rank: int = 0,
        world: int = 1,
        bad_rows: BadRows | None = None,
    ) -> None:
        if len(dataset) == 0:
            raise DataError("the data set has no rows")
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.workers = workers
        self.training = shuffle or sampler is not None
        self.drop_last = drop_last
        self.sampler = sampler
        self.bucket_by = bucket_by
        self.bucket_window = bucket_window
        self.rank, self.world = rank, world
        self.bad_rows = BadRows() if bad_rows is None else bad_rows
        self.collate = Collate(dataset.fields, dataset.targets, mix)
        self._idle: Workers | None = None

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._count

    @property
    def skipped(self) -> int:
        """Rows left out so far because they cannot be read."""
        return len(self.bad_rows)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``start`` on. Raises DataError naming the row that cannot be read."""
        return uploaded(self.arrays(epoch, start))

    def arrays(self, epoch: int = 0, start: int = 0) -> Iterator[Mapping[str, np.ndarray]]:
        """As `epoch`, as arrays that are good until the next batch is asked for."""
        batches = self.batches(epoch)
        made = self._in_workers(batches[start:]) if self.workers else (self.load(keys) for keys in batches[start:])
        for number, (arrays, bad) in enumerate(made, start):
            self.bad_rows.add(bad)
            if arrays is None and self.training:
                arrays = self._in_place_of(batches, number)
            if arrays is not None:
                yield arrays
        self.bad_rows.tell()

    def load(self, keys: np.ndarray, marker: Marker | None = None) -> Arrays:
        """One batch from keys int64 [B, 2] of (pass, row). Raises DataError for a bad row, if the policy says so."""
        samples, bad = [], []
        for number, row in keys.tolist():
            if marker is not None:
                marker.row(row)
            try:
                raw = self.dataset.rows[row]
                if marker is not None:
                    marker.name(str(raw["id"]))
                samples.append(self.dataset.convert((number, row), raw))
            except DataError as error:
                if self.bad_rows.policy == "raise":
                    raise
                bad.append(BadRow(row, str(error)))
        if not samples:
            return Arrays(None, bad)
        return Arrays(self.collate(samples, batch_generator(self.dataset.seed, keys)), bad)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The keys of each batch of this process, int64 [B, 2] of (pass, row)."""
        seed = self.dataset.seed
        if self.sampler is not None:
            order = self.sampler.order(self.dataset.rows, seed, epoch)
        else:
            order = plain_order(len(self.dataset), seed=seed, epoch=epoch, shuffle=self.training)
        keys = numbered(order, epoch)
        size = self.batch_size * self.world
        if self.bucket_by is not None and self.training:
            keys = bucketed(keys, self._lengths, size, self.bucket_window, seed=seed, epoch=epoch)
        return share_of(cut(keys, size, self.drop_last), self.rank, self.world, even=self.training)

    @cached_property
    def _count(self) -> int:
        return len(self.batches(0))

    @cached_property
    def _lengths(self) -> np.ndarray:
        return lengths_of(self.dataset.rows, self.bucket_by or "")

    def _in_workers(self, batches: list[np.ndarray]) -> Iterator[Arrays]:
        if not batches:
            return
        # Two epochs under way at the same time have workers of their own.
        workers, self._idle = self._idle or Workers(self.workers, AHEAD, self.load), None
        todo = iter(batches)
        try:
            for _ in batches:
                while workers.room and (keys := next(todo, None)) is not None:
                    workers.ask(keys)
                yield workers.take()
        except BaseException:  # an error, or an epoch that is not finished: answers under way belong to nobody
            workers.stop()
            raise
        if self._idle is None:
            self._idle = workers
        else:
            workers.stop()

    def _in_place_of(self, batches: list[np.ndarray], number: int) -> Mapping[str, np.ndarray]:
        """The next batch that has a good row, so that the number of batches, and every position, stays what it was."""
        for keys in (*batches[number + 1 :], *batches[:number]):
            arrays, bad = self.load(keys)
            self.bad_rows.add(bad)
            if arrays is not None:
                return arrays
        raise DataError(f"no row can be read; the first: {next(iter(self.bad_rows.rows.values()))}")
