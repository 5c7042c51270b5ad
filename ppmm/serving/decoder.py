"""Decoding in processes of their own: a file that crashes or stalls a decoder harms its own request only."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import TimeoutError as DecodeTimeout
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.serving.refusals import BadRequest

__all__ = ["Decoder", "Limits"]

Limits = dict[str, float]
"""Attribute of a field -> its largest value."""
TRIES = 2
"""A decoder that somebody killed is replaced; a file that kills two of them is to blame."""

_FIELDS: dict[str, Any] = {}
"""In a worker: the bundle's fields."""


class Decoder:
    """A pool of processes.

    Args:
        bundle: whose preprocessing they have.
        workers: how many.
        seconds: after which the decoding of a sample is killed.
        limits: ``max_pixels`` and ``max_seconds`` that fields must not exceed.
    """

    def __init__(self, bundle: Path, workers: int, seconds: float, limits: Limits) -> None:
        from pebble import ProcessPool

        self.seconds, self.workers = seconds, workers
        self.pool = ProcessPool(
            max_workers=workers,
            initializer=_open_bundle,
            initargs=[str(bundle), dict(limits)],
            context=multiprocessing.get_context("spawn"),
        )

    async def convert(self, sample: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """One raw sample, decoded and transformed. Raises BadRequest of one that cannot be."""
        from pebble import ProcessExpired

        for _ in range(TRIES):
            future = self.pool.schedule(_convert, args=[dict(sample)], timeout=self.seconds)
            try:
                # a shield: pebble kills the process of a cancelled task, and clients go away at any time
                found: dict[str, np.ndarray] | str = await asyncio.shield(asyncio.wrap_future(future))
            except (DecodeTimeout, asyncio.TimeoutError) as error:
                raise BadRequest(f"decoding took longer than {self.seconds:g} seconds") from error
            except ProcessExpired:
                continue
            if isinstance(found, str):
                raise BadRequest(found)
            return found
        raise BadRequest(f"this sample ended {TRIES} decoders")

    async def start(self) -> None:
        """Start every worker, so that the first request need not wait for imports."""
        await asyncio.gather(*(asyncio.wrap_future(self.pool.schedule(_ready)) for _ in range(self.workers)))

    def close(self) -> None:
        """End the processes."""
        self.pool.stop()
        self.pool.join()


def _open_bundle(folder: str, limits: Limits) -> None:
    """In a worker, once: the bundle's fields with the server's limits."""
    import signal

    from ppmm.runtime.bundle import read_bundle

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which lets them finish
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    fields = read_bundle(Path(folder)).fields
    for field in fields.values():
        for name, limit in limits.items():
            if getattr(field, name, None) is not None:
                setattr(field, name, min(getattr(field, name), limit))
    _FIELDS.update(fields)


def _ready() -> bool:
    return bool(_FIELDS)


def _convert(sample: dict[str, Any]) -> dict[str, np.ndarray] | str:
    """In a worker: arrays by field, or what is wrong with the sample."""
    arrays = {}
    for name, value in sample.items():
        try:
            arrays[name] = _FIELDS[name](value)
        except (DataError, MemoryError, ValueError, OverflowError) as error:
            return f"{name}: {error}"
    return arrays
