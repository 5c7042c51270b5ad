"""What a run takes of the machine: processor, memory, and how fast it is."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import paddle

__all__ = ["Pace", "Processor", "memory_figures"]

MB = 1e6


def memory_figures() -> dict[str, float]:
    """``memory_mb`` resident in this process (its largest so far, where the system has no /proc), and on a GPU
    ``gpu_memory_mb`` that Paddle holds and ``gpu_memory_peak_mb``; MB are 10^6 bytes."""
    figures = {"memory_mb": _resident() / MB}
    if paddle.device.is_compiled_with_cuda() and paddle.get_device().startswith("gpu"):
        figures["gpu_memory_mb"] = paddle.device.cuda.memory_allocated() / MB
        figures["gpu_memory_peak_mb"] = paddle.device.cuda.max_memory_allocated() / MB
    return {name: round(value, 1) for name, value in figures.items()}


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


class Processor:
    """How busy processors were since the last reading."""

    def __init__(self) -> None:
        self.own, self.machine = self._own(), self._machine()

    def read(self) -> dict[str, float]:
        """``process_cpu_percent`` of this process (100 is one core) and ``cpu_percent`` of all cores of the machine.

        The latter is left out where the system has no /proc, both where no time has passed.
        """
        (used, now), busy = self._own(), self._machine()
        figures = {}
        if now > self.own[1]:
            figures["process_cpu_percent"] = 100 * (used - self.own[0]) / (now - self.own[1])
        if busy is not None and self.machine is not None and busy[1] > self.machine[1]:
            share = (busy[0] - self.machine[0]) / (busy[1] - self.machine[1])
            figures["cpu_percent"] = 100 * min(1.0, max(0.0, share))  # the kernel's idle time may go back a little
        self.own, self.machine = (used, now), busy
        return figures

    @staticmethod
    def _own() -> tuple[float, float]:
        return time.process_time(), time.monotonic()

    @staticmethod
    def _machine() -> tuple[int, int] | None:
        """Busy and whole ticks of all cores, from the first line of /proc/stat: user nice system idle iowait ..."""
        try:
            ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        return sum(ticks) - sum(ticks[3:5]), sum(ticks)


class Pace:
    """Samples per second of training, and the share of it that waited for data, since the last reading.

    The time is that of the steps: evaluation does not count. Samples are those of all processes, which have equal
    shares of a batch.
    """

    def __init__(self, trainer: Any) -> None:
        self.rows, self.seconds, self.waited = 0, trainer.state.seconds, trainer.waited

    def count(self, trainer: Any) -> None:
        """Take the step that has just ended."""
        rows = sum(len(next(iter(batch.values()), ())) for batch in trainer.batches)
        self.rows += rows * trainer.step.processes.world

    def read(self, trainer: Any) -> dict[str, float]:
        """``samples_per_second`` and ``data_wait`` in 0..1; nothing where no time has passed."""
        passed, waited, rows = trainer.state.seconds - self.seconds, trainer.waited - self.waited, self.rows
        self.rows, self.seconds, self.waited = 0, trainer.state.seconds, trainer.waited
        if passed <= 0:
            return {}
        return {"samples_per_second": round(rows / passed, 2), "data_wait": round(min(1.0, waited / passed), 4)}
