"""Work on pieces of a list in processes of this machine; a worker that dies costs one row, not the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ppmm.errors import ConfigError

__all__ = ["LocalEngine"]

AHEAD = 4
"""Pieces that each worker has waiting."""


class LocalEngine:
    """Maps a function over pieces of work in a process pool.

    Args:
        workers: processes; 0 works in this one.
    """

    def __init__(self, workers: int = 0) -> None:
        if workers < 0:
            raise ConfigError(f"workers: {workers} must be at least 0")
        self.workers = workers

    def map(
        self, function: Callable[[Any], Any], pieces: Sequence[Any], lost: Callable[[Any], Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """(number of the piece, result) as they are ready, each piece once.

        Args:
            function: importable; takes one piece. What it raises is raised here.
            pieces: lists of rows, or other values that can be sent to a process.
            lost: result for a piece that killed its worker twice, the second time alone; None raises BrokenProcessPool.
        """
        if self.workers == 0:
            for number, piece in enumerate(pieces):
                yield number, function(piece)
            return
        left = dict(enumerate(pieces))
        while left:
            broken = False
            for number, result, suspects in self._run(function, left, self.workers):
                if suspects:
                    broken = True
                    yield from self._alone(function, {n: left.pop(n) for n in suspects}, lost)
                else:
                    del left[number]
                    yield number, result
            if not broken:
                return

    def _run(
        self, function: Callable[[Any], Any], pieces: dict[int, Any], workers: int
    ) -> Iterator[tuple[int, Any, list[int]]]:
        """(number, result, []) for each piece; after a worker's death (-1, None, the pieces under way) and an end."""
        workers = min(workers, len(pieces))  # a process without work only costs
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("fork"), initializer=_start_worker, initargs=(os.getpid(),)
        )
        todo = list(pieces.items())
        waiting: dict[int, Future[Any]] = {}
        try:
            for place in range(len(todo)):
                if place == 0:
                    waiting.update((n, _submit(pool, function, p)) for n, p in todo[: AHEAD * workers])
                elif (following := place + AHEAD * workers - 1) < len(todo):
                    waiting[todo[following][0]] = _submit(pool, function, todo[following][1])
                number = todo[place][0]
                yield number, waiting[number].result(), []
                del waiting[number]
        except BrokenProcessPool:
            yield -1, None, list(waiting)
        finally:
            pool.shutdown(cancel_futures=True)

    def _alone(
        self, function: Callable[[Any], Any], pieces: dict[int, Any], lost: Callable[[Any], Any] | None
    ) -> Iterator[tuple[int, Any]]:
        """Each suspect in a pool of its own, so that only the guilty one is lost."""
        for number, piece in pieces.items():
            for _, result, suspects in self._run(function, {number: piece}, 1):
                if suspects and lost is None:
                    raise BrokenProcessPool(f"a worker was killed twice by the same piece of work ({number})")
                yield number, lost(piece) if suspects and lost is not None else result


def _submit(pool: ProcessPoolExecutor, function: Callable[[Any], Any], piece: Any) -> Future[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        return pool.submit(function, piece)


def _start_worker(parent: int) -> None:
    """Ctrl-C is the main process's matter; no worker outlives a killed one; OpenCV's threads would only compete."""
    import cv2

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
