"""A few steps with batches of one size, in a process of its own: python -m ppmm.app.batch_trial.

Prints one JSON line: ``{"samples_per_second", "peak_mb"}``, or ``{"out_of_memory": why}``.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from itertools import islice

from ppmm.command import run

__all__ = ["main", "measure"]

MEMORY_WORDS = ("ResourceExhausted", "Out of memory", "out of memory", "bad_alloc", "Cannot allocate")


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description="Measure a few training steps; tools/find.py batch starts this.")
    parser.add_argument("-c", "--config", required=True)
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[])
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    try:
        found: dict[str, object] = dict(measure(args.config, args.override, args.steps))
    except MemoryError as error:
        found = {"out_of_memory": str(error) or "MemoryError"}
    except RuntimeError as error:  # what Paddle raises
        if not any(word in str(error) for word in MEMORY_WORDS):
            raise
        found = {"out_of_memory": str(error).strip().splitlines()[-1]}
    print(json.dumps(found), flush=True)


def measure(path: str, overrides: Sequence[str], steps: int) -> dict[str, float]:
    """Forward, backward and update of ``steps`` steps after a first one that does not count.

    Returns: ``samples_per_second`` of the counted steps, reading the data included; ``peak_mb``, the most memory that
    the process has held at a time: of the GPU where one computes, else resident.
    """
    from ppmm.app.experiment import open_experiment
    from ppmm.app.trial_run import trial_trainer
    from ppmm.engine.rate_finder import groups_of

    with trial_trainer(open_experiment(path, overrides)) as trainer:
        rows, began = 0, time.perf_counter()
        for number, group in enumerate(islice(groups_of(trainer.loader, trainer.accumulate), steps + 1)):
            trainer.step(group, number)
            if number == 0:
                began = time.perf_counter()
            else:
                rows += sum(len(next(iter(batch.values()))) for batch in group)
        seconds = time.perf_counter() - began
    return {"samples_per_second": rows / seconds, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    import paddle

    if paddle.get_device().startswith("gpu"):
        return float(paddle.device.cuda.max_memory_reserved()) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    run(main)
