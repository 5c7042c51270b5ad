"""Which back end is the fastest on this machine: measured in turns, so that other load hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["fastest"]

ROUNDS, CALLS = 7, 5


def fastest(
    graphs: Mapping[str, Callable[[], Any]], clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median milliseconds of a call by name, the fastest first.

    Args:
        graphs: by name, each answers one request when called.
        clock: seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):
        for name, answer in graphs.items():
            answer()  # its weights come back into the caches
            for _ in range(CALLS):
                began = clock()
                answer()
                times[name].append(1e3 * (clock() - began))
    medians = {name: float(np.median(each)) for name, each in times.items()}
    return dict(sorted(medians.items(), key=lambda item: item[1]))
