"""Processes that make batches, in the order in which they were asked for."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import cv2
import numpy as np

from ppmm.data.bad_rows import BadRow
from ppmm.data.shared_arrays import SharedArrays
from ppmm.errors import DataError

__all__ = ["Arrays", "Marker", "Work", "Workers", "keep_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
KEEP = 32 * 2**20
"""Bytes; the largest that glibc takes for MMAP_THRESHOLD."""
POLL = 1.0
"""Seconds between two looks of an idle worker at whether the main process is still there."""


class Arrays(NamedTuple):
    """A batch: arrays by name, None where no row of it can be read; and the rows that cannot."""

    arrays: Mapping[str, np.ndarray] | None
    bad: list[BadRow]


class Marker:
    """What a worker is at, in shared memory, to be read when it is dead: row number and id."""

    HEAD = struct.Struct("<qH")
    SIZE = 512

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, self.SIZE)
        self.clear()

    def row(self, number: int) -> None:
        """Note that a row is begun."""
        self.HEAD.pack_into(self._map, 0, number, 0)

    def name(self, name: str) -> None:
        """Note its id, once known."""
        text = name.encode("utf-8", "replace")[: self.SIZE - self.HEAD.size]
        self._map[self.HEAD.size : self.HEAD.size + len(text)] = text
        self.HEAD.pack_into(self._map, 0, self.HEAD.unpack_from(self._map)[0], len(text))

    def clear(self) -> None:
        """Note that no row is under way."""
        self.HEAD.pack_into(self._map, 0, -1, 0)

    def __str__(self) -> str:
        number, length = self.HEAD.unpack_from(self._map)
        if number < 0:
            return "while it had nothing to do"
        if not length:
            return f"while it opened row number {number} (the first is 0)"
        return f"while it read {self._map[self.HEAD.size : self.HEAD.size + length].decode('utf-8', 'replace')}"


Work = Callable[[np.ndarray, Marker], Arrays]


class _Worker(NamedTuple):
    process: BaseProcess
    connection: Connection
    slots: list[SharedArrays]
    marker: Marker


class Workers:
    """Forked processes, each with a pipe for keys and short answers and shared memory for arrays.

    Batch i goes to worker i modulo their number: who makes what does not depend on who is fast. They live until
    ``stop`` or until this object is gone.

    Args:
        count: how many.
        ahead: batches that each may make before they are taken.
        work: keys -> arrays; called in the workers.
    """

    def __init__(self, count: int, ahead: int, work: Work) -> None:
        self.ahead = ahead
        context = multiprocessing.get_context("fork")
        self._workers: list[_Worker] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            slots, marker = [SharedArrays() for _ in range(ahead)], Marker()
            others = [ours, *(worker.connection for worker in self._workers)]
            process = context.Process(
                target=_serve, args=(theirs, others, slots, marker, work, os.getpid()), daemon=True
            )
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours, slots, marker))
        self._asked = 0
        self._waiting: deque[int] = deque()
        self.stop = weakref.finalize(self, _stop, self._workers, os.getpid())

    @property
    def room(self) -> int:
        """How many more batches may be asked for now."""
        return self.ahead * len(self._workers) - len(self._waiting)

    @property
    def waiting(self) -> int:
        """Batches that were asked for and not taken."""
        return len(self._waiting)

    def ask(self, keys: np.ndarray) -> None:
        """Have a batch made. Raises DataError when the worker is dead."""
        worker = self._workers[self._asked % len(self._workers)]
        try:
            worker.connection.send_bytes(np.ascontiguousarray(keys, dtype=np.int64).tobytes())
        except OSError as error:
            raise self._dead(worker) from error
        self._waiting.append(self._asked)
        self._asked += 1

    def take(self) -> Arrays:
        """The batch that was asked for first; its arrays are good until as many were asked for as there is room for.

        Raises:
            DataError: a worker died, with the row that it was at; or what ``work`` raised.
        """
        number = self._waiting.popleft()
        worker = self._workers[number % len(self._workers)]
        sentinels = [other.process.sentinel for other in self._workers]
        ready = wait([worker.connection, *sentinels])
        if worker.connection not in ready:
            raise self._dead(next(other for other in self._workers if other.process.sentinel in ready))
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise self._dead(worker) from error
        if isinstance(answer, BaseException):
            raise answer
        layout, bad = answer
        slot = worker.slots[number // len(self._workers) % self.ahead]
        return Arrays(None if layout is None else slot.read(layout), bad)

    def _dead(self, worker: _Worker) -> DataError:
        worker.process.join(POLL)
        code = worker.process.exitcode
        how = f"ended with code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            how += " (out of memory?)" if -code == signal.SIGKILL else ""
        return DataError(f"a data worker {how} {worker.marker}; set loader.workers to 0 to see it there")


def _stop(workers: list[_Worker], parent: int) -> None:
    if os.getpid() != parent:  # a forked process has a copy of this object, not the workers
        return
    for worker in workers:
        # Not SIGTERM: a worker that has only begun still has the handlers of the main process. Nothing can be lost.
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.connection.close()
        for slot in worker.slots:
            slot.close()


def _serve(
    connection: Connection, others: list[Connection], slots: list[SharedArrays], marker: Marker, work: Work, parent: int
) -> None:
    """A worker's life. Ctrl-C reaches every process of a terminal: the main one decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)  # the workers are the threads; and OpenCV's own do not survive a fork
    keep_memory()
    for other in others:
        other.close()
    done = 0
    try:
        while True:
            while not connection.poll(POLL):
                if os.getppid() != parent:
                    return
            keys = np.frombuffer(connection.recv_bytes(), dtype=np.int64).reshape(-1, 2)
            connection.send_bytes(_answer(work, keys, slots[done % len(slots)], marker))
            done += 1
    except (EOFError, OSError):  # the main process is gone
        return


def keep_memory() -> None:
    """Let malloc keep freed pictures for the next ones: else each is new pages, a fifth of a worker's time here."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc: slower, not worse
        return
    mallopt(MMAP_THRESHOLD, KEEP)
    mallopt(TRIM_THRESHOLD, 8 * KEEP)


def _answer(work: Work, keys: np.ndarray, slot: SharedArrays, marker: Marker) -> bytes:
    """What is sent back: (layout or None, bad rows), or an exception."""
    answer: Any
    try:
        arrays, bad = work(keys, marker)
        answer = (None if arrays is None else slot.write(arrays), bad)
    except Exception as error:  # whatever it is, the main process must raise it
        answer = error
    marker.clear()
    try:
        return pickle.dumps(answer)
    except Exception:  # an exception that holds what cannot be sent
        return pickle.dumps(RuntimeError(f"{type(answer).__name__}: {answer}"))
