"""Decoding in processes of their own: a file that crashes or stalls a decoder harms its own request only."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as DecodeTimeout
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.serving import metrics
from ppmm.serving.refusals import BadRequest

__all__ = ["Decoder", "Limits"]

Limits = dict[str, float]
"""Attribute of a field -> its largest value."""
TRIES = 2
"""A decoder that somebody killed is replaced; a file that kills two of them is to blame."""

START_SECONDS, READY_SECONDS = 60, 0.05
"""For a worker to import what it needs."""

_FIELDS: dict[str, Any] = {}
"""In a worker: the bundle's fields."""


class Decoder:
    """A pool of processes, which is replaced when somebody kills one of them.

    Args:
        bundle: whose preprocessing they have.
        workers: how many.
        seconds: after which the decoding of a sample is killed.
        limits: ``max_pixels`` and ``max_seconds`` that fields must not exceed.
    """

    def __init__(self, bundle: Path, workers: int, seconds: float, limits: Limits) -> None:
        self.bundle, self.workers, self.seconds, self.limits = bundle, workers, seconds, limits
        self.pool = self._new_pool()
        self.running: dict[Future[Any], Any] = {}

    async def convert(self, sample: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """One raw sample, decoded and transformed. Raises BadRequest of one that cannot be."""
        from pebble import ProcessExpired

        ended = 0
        while ended < TRIES:
            try:
                found = await self._run(_convert, dict(sample))
            except (DecodeTimeout, asyncio.TimeoutError) as error:
                raise BadRequest(f"decoding took longer than {self.seconds:g} seconds") from error
            except ProcessExpired:  # its process died while it was at it
                ended += 1
                continue
            except BrokenProcessPool:  # another one did
                continue
            if isinstance(found, str):
                raise BadRequest(found)
            return dict(found)
        raise BadRequest(f"this sample ended {TRIES} decoders")

    async def hidden_parts(self, picture: bytes) -> list[bytes]:
        """See `ppmm.serving.occlusion`. Raises BadRequest of a picture that cannot be read."""
        try:
            found = await self._run(_hide, picture, int(self.limits["max_pixels"]))
        except (DecodeTimeout, asyncio.TimeoutError, BrokenProcessPool) as error:
            raise BadRequest("the picture could not be read") from error
        if isinstance(found, str):
            raise BadRequest(found)
        return list(found)

    async def start(self) -> None:
        """Wait until every worker is ready, so that no request waits for imports."""
        ready: set[int] = set()
        while len(ready) < self.workers:
            ready.update(await asyncio.gather(*(self._run(_ready) for _ in range(self.workers))))

    async def _run(self, function: Any, *arguments: Any) -> Any:
        """A call in a worker. Raises BrokenProcessPool where the pool was replaced meanwhile."""
        pool = self.pool
        try:
            future = pool.schedule(function, args=arguments, timeout=self.seconds + START_SECONDS * (not arguments))
        except RuntimeError as error:  # pebble gives a pool up when an idle process of it was killed
            self._replace(pool)
            raise BrokenProcessPool("its pool was broken") from error
        self.running[future] = pool
        try:
            # a shield: pebble kills the process of a cancelled task, and clients go away at any time
            return await asyncio.shield(asyncio.wrap_future(future))
        except BrokenProcessPool:
            self._replace(pool)
            raise
        finally:
            self.running.pop(future, None)

    def _replace(self, broken: Any) -> None:
        if self.pool is not broken:
            return
        metrics.LOG.warning("decoders replaced")
        self.pool = self._new_pool()
        for future in [future for future, pool in self.running.items() if pool is broken]:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(BrokenProcessPool("its pool was broken"))
        threading.Thread(target=_end, args=[broken], daemon=True).start()

    def _new_pool(self) -> Any:
        from pebble import ProcessPool

        return ProcessPool(
            max_workers=self.workers,
            initializer=_open_bundle,
            initargs=[str(self.bundle), dict(self.limits)],
            context=multiprocessing.get_context("spawn"),
        )

    def close(self) -> None:
        """End the processes."""
        _end(self.pool)


def _end(pool: Any) -> None:
    pool.stop()
    pool.join()


def _open_bundle(folder: str, limits: Limits) -> None:
    """In a worker, once: the bundle's fields with the server's limits."""
    import signal

    from ppmm.runtime.bundle import read_bundle

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which lets them finish
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    bundle = read_bundle(Path(folder))
    fields = bundle.fields
    for field in fields.values():
        for name, limit in limits.items():
            if getattr(field, name, None) is not None:
                setattr(field, name, min(getattr(field, name), limit))
    _FIELDS.update(fields)
    for sample in bundle.golden.samples[:1] if bundle.golden is not None else []:
        _convert(sample)  # what the first one imports takes a second or two


def _ready() -> int:
    """In a worker: its process id, after long enough for the other workers to take the next call."""
    time.sleep(READY_SECONDS)
    return os.getpid()


def _hide(picture: bytes, max_pixels: int) -> list[bytes] | str:
    """In a worker: copies of a picture with parts hidden, or what is wrong with it."""
    from ppmm.serving.occlusion import hidden_parts

    try:
        return hidden_parts(picture, max_pixels=max_pixels)
    except DataError as error:
        return str(error)


def _convert(sample: dict[str, Any]) -> dict[str, np.ndarray] | str:
    """In a worker: arrays by field, or what is wrong with the sample."""
    arrays = {}
    for name, value in sample.items():
        try:
            arrays[name] = _FIELDS[name](value)
        except (DataError, MemoryError, ValueError, OverflowError) as error:
            return f"{name}: {error}"
    return arrays
