"""Samples of several requests answered together, whatever their lengths and fields."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppmm.serving.refusals import Gone, Late

__all__ = ["Answered", "Batcher"]

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Answered:
    """The rows of one request: results of `Predictor.predict`, and the graph's outputs by name."""

    results: list[dict[str, Any]]
    outputs: dict[str, np.ndarray]


@dataclass
class _Job:
    arrays: Sequence[Arrays]
    deadline: float
    future: asyncio.Future[Answered]


class Batcher:
    """Collects what waits while the predictors are busy; a lone request is answered at once.

    Args:
        answer: samples that were decoded -> their answers; called in threads.
        max_batch: samples of a batch, unless a single request has more.
        max_delay: seconds to wait for requests that are on their way.
        replicas: batches at the same time.
        coming: how many samples are being decoded: without any there is nothing to wait for.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Arrays]], Answered],
        max_batch: int,
        max_delay: float,
        replicas: int,
        coming: Callable[[], int],
    ) -> None:
        self.answer, self.max_batch, self.max_delay, self.coming = answer, max_batch, max_delay, coming
        self.jobs: deque[_Job] = deque()
        self.some = asyncio.Event()
        self.executor = ThreadPoolExecutor(replicas, thread_name_prefix="predictor")
        self.tasks = [asyncio.create_task(self._work()) for _ in range(replicas)]
        self.sizes: Callable[[int], None] = lambda size: None

    async def submit(self, arrays: Sequence[Arrays], deadline: float) -> Answered:
        """The answers to one request's samples.

        Args:
            arrays: decoded samples.
            deadline: of `time.monotonic`.

        Raises Late where the deadline passes first.
        """
        job = _Job(arrays, deadline, asyncio.get_running_loop().create_future())
        self.jobs.append(job)
        self.some.set()
        try:
            return await asyncio.wait_for(job.future, max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError as error:
            raise Late("the deadline passed before an answer was there") from error

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.some.wait()
            if self._waiting() < self.max_batch and self.coming():
                await asyncio.sleep(self.max_delay)
            batch = self._take()
            if not batch:
                continue
            arrays = [each for job in batch for each in job.arrays]
            self.sizes(len(arrays))
            try:
                answered = await loop.run_in_executor(self.executor, self.answer, arrays)
            except Exception as error:  # the requests get it, the next batch goes on
                for job in batch:
                    if not job.future.done():
                        job.future.set_exception(error)
                continue
            start = 0
            for job in batch:
                stop = start + len(job.arrays)
                if not job.future.done():
                    job.future.set_result(_rows(answered, slice(start, stop)))
                start = stop

    def _waiting(self) -> int:
        return sum(len(job.arrays) for job in self.jobs)

    def _take(self) -> list[_Job]:
        """The next batch: first come, first served; without requests that were given up."""
        batch: list[_Job] = []
        size = 0
        while self.jobs and (not batch or size + len(self.jobs[0].arrays) <= self.max_batch):
            job = self.jobs.popleft()
            if not job.future.done() and job.deadline > time.monotonic():
                batch.append(job)
                size += len(job.arrays)
        if not self.jobs:
            self.some.clear()
        return batch

    async def close(self) -> None:
        """Stop; what still waits is refused."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for job in self.jobs:
            if not job.future.done():
                job.future.set_exception(Gone("the server is stopping"))
        self.executor.shutdown(wait=False)


def _rows(answered: Answered, rows: slice) -> Answered:
    """The part of a batch that is one request's."""
    count = len(answered.results)
    outputs = {
        name: array[rows, rows] if name.endswith("_match") and array.shape[:2] == (count, count) else array[rows]
        for name, array in answered.outputs.items()
    }
    return Answered(answered.results[rows], outputs)
