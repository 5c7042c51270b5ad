"""Pieces of work as Ray tasks: the same results as on one machine, whichever worker dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ppmm.errors import ConfigError, PpmmError

__all__ = ["RayEngine"]

AHEAD = 4
"""Pieces that wait for each processor of the cluster."""
RETRIES = 3
"""Times that a piece is given to another worker after the death of its own."""


class RayEngine:
    """Maps a function over pieces of work on a Ray cluster. Files must be readable there under the same paths.

    Args:
        address: ``ray://host:10001``, ``host:6379`` or ``auto``; None starts a cluster of this machine.
        workers: processors to use of a cluster that is started here.
    """

    def __init__(self, address: str | None = None, workers: int = 2) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Otherwise Ray hides the GPUs from tasks that ask for none of them.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigError("--engine ray needs Ray: pip install 'ppmm[scale]'") from error
        if not ray.is_initialized():
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            here: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
            try:
                ray.init(address=address or "local", **quiet, **({} if address else here))
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                raise ConfigError(f"--address {address}: no Ray cluster answers there: {error}") from error
        self._ray = ray

    def map(
        self, function: Callable[[Any], Any], pieces: Sequence[Any], lost: Callable[[Any], Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """(number of the piece, result) as they are ready, each piece once; see `LocalEngine.map`."""
        ray = self._ray
        remote = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_run_piece)
        window = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        todo = iter(enumerate(pieces))
        waiting: dict[Any, int] = {}
        while True:
            while len(waiting) < window and (item := next(todo, None)) is not None:
                waiting[remote.remote(function, item[1])] = item[0]
            if not waiting:
                return
            ready, _ = ray.wait(list(waiting), num_returns=1)
            number = waiting.pop(ready[0])
            yield number, self._result(ready[0], pieces[number], lost)

    def _result(self, reference: Any, piece: Any, lost: Callable[[Any], Any] | None) -> Any:
        """What the task returned; what it raised is raised here. Raises PpmmError where no worker survives it."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            if lost is None:
                raise PpmmError(f"a piece of work killed {RETRIES + 1} Ray workers: {error}") from error
            return lost(piece)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from error
            raise


def _run_piece(function: Callable[[Any], Any], piece: Any) -> Any:
    return function(piece)
