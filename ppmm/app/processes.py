"""The processes of a run, as Paddle's launcher has started them, and what they ask of a config."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ppmm.config import ConfigNode, TrainerSection
from ppmm.engine.distributed import SINGLE, Processes
from ppmm.errors import ConfigError

__all__ = ["check_whole_batch", "join_processes"]

LAUNCH = "python -m paddle.distributed.launch --nproc_per_node N --backend gloo tools/train.py ..."
MEETING = 300
"""Seconds within which all processes must have started; Paddle itself waits a quarter of an hour, without a word."""
WANTED = ("PADDLE_TRAINER_ID", "PADDLE_CURRENT_ENDPOINT", "PADDLE_TRAINER_ENDPOINTS")
"""What every launcher sets beside the number of processes."""


def join_processes(config: ConfigNode) -> Processes:
    """All processes that ``python -m paddle.distributed.launch`` started with this one; this one alone without it.

    Raises ConfigError when the launcher and ``device`` do not fit each other.
    """
    world = os.environ.get("PADDLE_TRAINERS_NUM", "1")
    if not world.isdecimal() or int(world) <= 1:
        return SINGLE
    lacking = [name for name in WANTED if name not in os.environ]
    if lacking:
        raise ConfigError(
            f"PADDLE_TRAINERS_NUM={world} is set, but not {', '.join(lacking)}: for several processes start "
            f"{LAUNCH}; for one, unset PADDLE_TRAINERS_NUM"
        )
    import paddle

    device, gloo = config.get("device", "cpu"), os.environ.get("PADDLE_DISTRI_BACKEND") == "gloo"
    place = f"{config.place('device')} device: {device}"
    if device == "cpu" and paddle.device.is_compiled_with_cuda() and not gloo:
        raise ConfigError(f"{place} of {world} processes needs --backend gloo: {LAUNCH}")
    if device.startswith("gpu") and gloo:
        raise ConfigError(f"{place} needs NCCL: leave --backend gloo out")
    if ":" in device:
        raise ConfigError(f"{place}: each of {world} processes has a device of its own; write {device.split(':')[0]}")
    os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo" if device == "cpu" else "auto")
    from ppmm.engine.process_group import ProcessGroup

    first = os.environ["PADDLE_TRAINER_ENDPOINTS"].split(",")[0]
    with _limit(f"{world} processes meet at {first} (PADDLE_TRAINERS_NUM is {world}; without a launcher unset it)"):
        return ProcessGroup(first.rpartition(":")[0] or "127.0.0.1")


@contextmanager
def _limit(what: str) -> Iterator[None]:
    """End this process by SIGALRM when ``what`` takes too long: Paddle waits in C++, where no thread of Python runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    print(f"{what}; this one ends when they have not within {MEETING} s", file=sys.stderr, flush=True)
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MEETING)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check_whole_batch(config: ConfigNode, objective: Any, section: TrainerSection, world: int) -> None:
    """See that an objective that compares rows has some to compare, and that a gradient cache has a use.

    Raises ConfigError; gives advice on stderr where batches are accumulated that do not see each other.
    """
    place, name = config.place("trainer"), config["objective"]["name"]
    whole = getattr(objective, "whole_batch", False)
    size, cache = config.get("loader", {}).get("batch_size", 64), section.gradient_cache
    if cache and not whole:
        raise ConfigError(
            f"{place} trainer.gradient_cache: {name} is a mean over rows that do not depend on one another: accumulate "
            "alone gives the same gradient in less time; leave gradient_cache out"
        )
    if cache and section.accumulate == 1:
        raise ConfigError(f"{place} trainer.gradient_cache: with accumulate: 1 there is one batch; set accumulate")
    if getattr(objective, "compares_in_model", False) and (cache or world > 1):
        what = "trainer.gradient_cache" if cache else f"{world} processes"
        raise ConfigError(f"{place} {what}: {name} compares rows inside the model, where a batch cannot be split")
    rows = size * (section.accumulate if cache else 1)
    if rows < getattr(objective, "least_rows", 1):
        raise ConfigError(
            f"{config.get('loader', config).place('batch_size')} loader.batch_size: {name} compares the rows of a "
            f"batch with each other and learns nothing from {rows}; give it at least 2, better hundreds"
        )
    if whole and section.accumulate > 1 and not cache:
        print(
            f"note: {name} is computed within each batch of {size}; with trainer.gradient_cache: true it would be over "
            f"all {size * section.accumulate} rows of a step",
            file=sys.stderr,
        )
