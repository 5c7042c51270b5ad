"""tools/find.py batch: the largest batch that fits in memory, and the one that trains fastest."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ppmm.app.child import child_environment
from ppmm.app.document import write_document
from ppmm.app.experiment import build_rows, open_experiment
from ppmm.errors import ConfigError, PpmmError

__all__ = ["Trial", "find_batch", "largest_that_fits", "parse_memory", "recommended"]

UNITS = {"": 1e6, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
FREE_SHARE = 0.8
"""Of the free memory is taken where none is given; the rest is for what else runs and for longer rows."""
NEARLY = 0.95
"""A size that reaches so much of the highest throughput is as good."""
POLL = 0.02


@dataclass(frozen=True)
class Trial:
    """One batch size; ``problem`` is empty where it fits."""

    batch_size: int
    samples_per_second: float = 0.0
    peak_mb: float = 0.0
    problem: str = ""

    @property
    def fits(self) -> bool:
        return not self.problem


def find_batch(
    path: str,
    overrides: Sequence[str] = (),
    *,
    memory: str | None = None,
    steps: int = 3,
    most: int | None = None,
    exact: bool = False,
    json_file: str | None = None,
) -> list[Trial]:
    """Print a row for each size tried and the size to take; returns the trials by size.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        memory: such as ``8GB``; None for 0.8 of what is free now on a CPU, for all of a GPU.
        steps: measured steps of each size.
        most: no size above it is tried; None for the rows of the training split.
        exact: find the largest size to the row, not to 1/16.
        json_file: where the table is written, too.

    Raises:
        ConfigError: a wrong YAML or argument.
        PpmmError: not even one row fits.
    """
    config = open_experiment(path, overrides)
    if steps < 1:
        raise ConfigError(f"--steps {steps}: must be at least 1")
    if most is not None and most < 1:
        raise ConfigError(f"--most {most}: must be at least 1")
    gpu = str(config.get("device", "cpu")).startswith("gpu")
    limit = parse_memory(memory) if memory is not None else None if gpu else FREE_SHARE * _free_mb()
    rows = len(build_rows(config, "train"))
    most = rows if most is None else min(most, rows)
    print(f"memory: {'until the GPU has no more' if limit is None else f'{limit:,.0f} MB'}; sizes up to {most:,}")
    print("| batch size | samples/s | peak MB | |\n|---|---|---|---|", flush=True)

    def attempt(size: int) -> Trial:
        trial = _trial(path, [*overrides, f"loader.batch_size={size}"], size, steps, limit, gpu)
        print(_row(trial), flush=True)
        return trial

    first = min(most, config.get("loader", {}).get("batch_size", 64))
    trials = largest_that_fits(attempt, first, most, 1 if exact else 16)
    fitting = [trial for trial in trials if trial.fits]
    document = {"config": path, "overrides": list(overrides), "limit_mb": limit, "trials": [asdict(t) for t in trials]}
    chosen = recommended(trials) if fitting else None
    write_document(json_file, {**document, "recommended": None if chosen is None else chosen.batch_size})
    if chosen is None:
        raise PpmmError(
            f"not even a batch of one row fits: {trials[0].problem}; give more --memory, or a smaller model"
        )
    _advise(path, overrides, chosen, fitting[-1], most)
    return trials


def largest_that_fits(attempt: Callable[[int], Trial], first: int, most: int, parts: int = 16) -> list[Trial]:
    """Doubling (or halving) from ``first``, then bisection; returns every trial, by size.

    Args:
        attempt: tries one size.
        first: where to begin.
        most: the largest size allowed.
        parts: the largest size is found to within one such part of it; 1 finds it exactly.
    """
    seen = {first: attempt(first)}
    size = first
    while seen[size].fits and size < most:
        size = min(2 * size, most)
        seen[size] = attempt(size)
    while not seen[size].fits and size > 1:
        half = size // 2
        if half in seen:
            break
        size = half
        seen[size] = attempt(size)
    low = max((size for size, trial in seen.items() if trial.fits), default=0)
    high = min((size for size, trial in seen.items() if not trial.fits), default=0)
    while low and high and high - low > (1 if parts == 1 else max(1, low // parts)):
        middle = (low + high) // 2
        seen[middle] = attempt(middle)
        low, high = (middle, high) if seen[middle].fits else (low, middle)
    return [seen[size] for size in sorted(seen)]


def recommended(trials: Sequence[Trial]) -> Trial:
    """The smallest size that fits and reaches 0.95 of the highest throughput: a larger one only costs memory."""
    fitting = [trial for trial in trials if trial.fits]
    best = max(trial.samples_per_second for trial in fitting)
    return next(trial for trial in fitting if trial.samples_per_second >= NEARLY * best)


def parse_memory(text: str) -> float:
    """``8GB``, ``7.5GiB``, ``900MB`` or ``900`` (MB) -> MB of 1e6 bytes. Raises ConfigError."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([A-Za-z]*)\s*", text)
    unit = None if found is None else UNITS.get(found[2].upper().removesuffix("B") + "B" if found[2] else "")
    if found is None or unit is None or float(found[1]) <= 0:
        raise ConfigError(f"--memory {text}: write a size such as 8GB, 7.5GiB or 900MB")
    return float(found[1]) * unit / 1e6


def _trial(path: str, overrides: Sequence[str], size: int, steps: int, limit: float | None, gpu: bool) -> Trial:
    """Try one size in a process of its own, which is ended where it takes more than ``limit`` MB."""
    command = [sys.executable, "-m", "ppmm.app.batch_trial", "-c", path, "-o", *overrides, "--steps", str(steps)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, env=child_environment()
        )
        try:
            held = _watch(child, None if gpu else limit)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        output.seek(0)
        errors.seek(0)
        said, wrong = output.read(), errors.read()
    if not gpu and limit is not None and held > limit:
        return Trial(size, peak_mb=round(held, 1), problem=f"more than {limit:,.0f} MB")
    if child.returncode in (-9, 137):
        return Trial(size, problem="killed by the system, which had no more memory")
    if child.returncode != 0:
        lines = [line for line in wrong.splitlines() if line.startswith("error:")] or wrong.splitlines()[-1:]
        raise PpmmError(f"a batch of {size} ended with {child.returncode}: {' '.join(lines) or 'no message'}")
    found = json.loads(said.splitlines()[-1])
    if "out_of_memory" in found:
        return Trial(size, problem=f"out of memory: {found['out_of_memory']}")
    peak = found["peak_mb"] if gpu else max(found["peak_mb"], held)
    problem = f"more than {limit:,.0f} MB" if limit is not None and peak > limit else ""
    return Trial(size, round(found["samples_per_second"], 1), round(peak, 1), problem)


def _watch(child: subprocess.Popen[bytes], limit: float | None) -> float:
    """Wait for the end, or for the moment at which the limit is exceeded; returns the most MB that were seen."""
    most = 0.0
    while child.poll() is None:
        most = max(most, _tree_mb(child.pid))
        if limit is not None and most > limit:
            break
        time.sleep(POLL)
    return most


def _tree_mb(pid: int) -> float:
    """Resident memory of a process and of those that it started, 0 for one that has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (OSError, ValueError, IndexError):
        return 0.0
    import resource

    return pages * resource.getpagesize() / 1e6 + sum(_tree_mb(int(child)) for child in children)


def _free_mb() -> float:
    """Memory that can be had without swapping."""
    found = re.search(r"MemAvailable:\s*([0-9]+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    if found is None:
        raise ConfigError("--memory: this machine does not tell how much is free; give a size such as 8GB")
    return int(found[1]) * 1024 / 1e6


def _row(trial: Trial) -> str:
    if trial.problem:
        return f"| {trial.batch_size} | – | – | {trial.problem} |"
    return f"| {trial.batch_size} | {trial.samples_per_second:,.0f} | {trial.peak_mb:,.0f} | fits |"


def _advise(path: str, overrides: Sequence[str], chosen: Trial, largest: Trial, most: int) -> None:
    bound = " (all that were allowed)" if largest.batch_size == most else ""
    print(f"largest that fits: {largest.batch_size}{bound}")
    print(
        f"take {chosen.batch_size}: {chosen.samples_per_second:,.0f} samples/s with {chosen.peak_mb:,.0f} MB; "
        "another size wants another learning rate: python tools/find.py lr"
    )
    more = f" -o {shlex.join(overrides)}" if overrides else ""
    print(f"next: python tools/train.py -c {path}{more} -o loader.batch_size={chosen.batch_size}")
