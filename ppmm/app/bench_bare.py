"""Bare loops over a decoder in several processes at once, and what processes cost."""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from ppmm.data.workers import keep_memory

__all__ = ["BareLoops", "Timing", "cpu_seconds", "resident_mb", "timed"]

Decoder = Callable[[bytes], Any]
SIZE = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)


class Timing(NamedTuple):
    """Samples per second of each core by the clock, and per second of CPU time."""

    clock: float
    cpu: float


def timed(work: Callable[[], int], cores: int, cpu: Callable[[], float]) -> Timing:
    """``work`` returns how many samples it made; ``cpu`` gives the CPU seconds spent so far."""
    clock, spent = time.perf_counter(), cpu()
    made = work()
    return Timing(made / (time.perf_counter() - clock) / cores, made / max(1e-9, cpu() - spent))


class BareLoops:
    """Processes that decode each a share of the files, over and over, and do nothing else.

    They get malloc's settings of the loader's workers, so that these make no difference.

    Args:
        decoders: by name.
        files: encoded.
        processes: how many.
    """

    def __init__(self, decoders: Mapping[str, Decoder], files: Sequence[bytes], processes: int) -> None:
        context = multiprocessing.get_context("fork")
        self._decoders = decoders
        self._files = len(files)
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            share = files[number::processes]
            process = context.Process(target=_serve, args=(theirs, decoders, share), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [process.pid for process in self._processes if process.pid is not None]

    def __enter__(self) -> BareLoops:
        return self

    def __exit__(self, *error: object) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join()
            pipe.close()

    def run(self) -> dict[str, Timing]:
        """Decode every file once with each decoder."""
        return {name: self._run(name) for name in self._decoders}

    def _run(self, name: str) -> Timing:
        spent = [0.0]

        def work() -> int:
            for pipe in self._pipes:
                pipe.send(name)
            spent[0] = sum(pipe.recv() for pipe in self._pipes)
            return self._files

        return timed(work, len(self._pipes), lambda: spent[0])


def _serve(pipe: Connection, decoders: Mapping[str, Decoder], files: Sequence[bytes]) -> None:
    cv2.setNumThreads(1)
    keep_memory()
    while (name := pipe.recv()) is not None:
        decode, began = decoders[name], time.process_time()
        for file in files:
            decode(file)
        pipe.send(time.process_time() - began)


def cpu_seconds(without: Collection[int] = ()) -> float:
    """CPU time so far of this process and its children, but those ``without``."""
    ticks = 0
    for pid in _family(without):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(without: Collection[int] = ()) -> float:
    """MB of anonymous and shared memory of this process and its children, but those ``without``; shared counts once.

    Mapped files (libraries) are left out: what they count depends on who else on the machine uses them just now.
    """
    total = 0
    for pid in _family(without):
        sizes = dict(SIZE.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()))
        total += int(sizes["Pss_Anon"]) + int(sizes["Pss_Shmem"])
    return total / 1024


def _family(without: Collection[int]) -> list[int]:
    children = (process.pid for process in multiprocessing.active_children())
    return [os.getpid(), *(pid for pid in children if pid is not None and pid not in without)]
