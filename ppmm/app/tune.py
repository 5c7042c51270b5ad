"""tools/tune.py: search for hyper-parameters; each trial is a training run in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from ppmm.app.child import interrupt_children, run_child
from ppmm.app.claim import claim
from ppmm.app.experiment import open_experiment
from ppmm.app.tune_space import open_space, override
from ppmm.config import ConfigNode
from ppmm.config.node import plain
from ppmm.errors import ConfigError, PpmmError

__all__ = ["TrialEnd", "TrialRun", "run_trial", "tune"]

HOPELESS = 3
"""Trials that may fail before the first success."""
INTERRUPTED = (130, -2)


class TrialRun(NamedTuple):
    """What a worker has to start: arguments of tools/train.py, where, and the file of its output."""

    number: int
    arguments: list[str]
    folder: str
    log: str


class TrialEnd(NamedTuple):
    """How it ended; ``message`` has its last words."""

    code: int
    message: str


def tune(
    path: str,
    space: str,
    overrides: Sequence[str] = (),
    *,
    trials: int = 20,
    study: str | None = None,
    out: str | None = None,
    jobs: int = 1,
    pruner: str = "median",
    seed: int = 0,
    engine: str = "local",
    address: str | None = None,
) -> dict[str, Any]:
    """Run trials until the study has ``trials`` of them, print the table and the best; started again it goes on.

    Args:
        path: YAML of the experiment.
        space: YAML of what is tuned, see `open_space`.
        overrides: ``a.b.c=value`` for every trial.
        trials: how many the study is to have, earlier ones included.
        study: SQLite file; ``<out>/study.db`` by default.
        out: folder of the runs and the report; ``output/tune/<name>`` by default.
        jobs: trials at the same time.
        pruner: ``median``, ``hyperband`` or ``none``.
        seed: of the search.
        engine: ``local``, or ``ray`` for the processors of a Ray cluster.
        address: of the cluster; None starts one here.

    Returns: what ``trials.json`` holds.

    Raises:
        ConfigError: a wrong YAML, space or argument, or a study of something else.
        PpmmError: no trial succeeded.
    """
    from ppmm.app.tune_report import write_report
    from ppmm.app.tune_study import TuningStudy

    if trials < 1 or jobs < 1:
        raise ConfigError(f"--trials {trials} --jobs {jobs}: both must be at least 1")
    dimensions = open_space(space, path, overrides)
    config = open_experiment(path, overrides)
    folder = Path(out) if out is not None else Path(config.get("output", "output")) / "tune" / config["name"]
    file = Path(study) if study is not None else folder / "study.db"
    with ExitStack() as stack:
        stack.enter_context(claim(folder))
        found = TuningStudy(file, config, dimensions, seed=seed, jobs=jobs, pruner=pruner)
        for number in found.recover():
            _say(f"trial {number} was cut short; its values are tried again")
        execute = _engine(engine, address, jobs)

        def start(trial: Any, values: dict[str, Any]) -> TrialRun:
            return _trial_run(trial.number, values, path, overrides, config, folder, file, pruner)

        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        try:
            _search(found, trials, jobs, pool, start, execute)
        except BaseException:
            interrupt_children()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return write_report(folder, found, path, overrides)


def _search(
    study: Any,
    trials: int,
    jobs: int,
    pool: ThreadPoolExecutor,
    start: Callable[[Any, dict[str, Any]], TrialRun],
    execute: Callable[[TrialRun], TrialEnd],
) -> None:
    """Ask, run and tell until the study has enough trials; only this thread touches the study."""
    pending: dict[Future[TrialEnd], int] = {}
    while True:
        while len(pending) < jobs and len(study.counted()) + len(pending) < trials:
            trial, values = study.ask()
            _say(f"trial {trial.number}: {' '.join(override(key, value) for key, value in values.items())}")
            pending[pool.submit(execute, start(trial, values))] = trial.number
        if not pending:
            return
        ended, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in ended:
            _tell(study, pending.pop(future), future.result())
        failed = [trial for trial in study.counted() if trial.state.name == "FAIL"]
        if len(failed) >= HOPELESS and len(failed) == len(study.counted()):
            raise PpmmError(f"the first {len(failed)} trials failed; the last: {failed[-1].user_attrs.get('error')}")


def _tell(study: Any, number: int, end: TrialEnd) -> None:
    """Keep how a run ended. Raises KeyboardInterrupt where the user ended it."""
    if end.code in INTERRUPTED:
        raise KeyboardInterrupt
    if end.code == 0:
        study.finish(number)
    elif end.code < 0 or end.code == 137:
        again = study.killed(number, f"killed by signal {-end.code if end.code < 0 else 9}")
        _say(f"trial {number}: killed{'; its values are tried again' if again else ''}")
    else:
        study.fail(number, end.message)
    trial = study.trials[number]
    value = "" if trial.value is None else f" {study.monitor} {trial.value:.4f}"
    _say(f"trial {number}: {trial.state.name.lower()}{value or ' ' + trial.user_attrs.get('error', '')}")


def run_trial(run: TrialRun) -> TrialEnd:
    """Train in a process of its own, its output to the log; here, or on a Ray worker."""
    log = Path(run.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        code = run_child(run.arguments, stream, run.folder)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
    errors = [line for line in lines if line.startswith("error:")] or lines[-1:]
    return TrialEnd(code, f"{errors[-1].removeprefix('error: ')} (see {log})")


def _engine(name: str, address: str | None, jobs: int) -> Callable[[TrialRun], TrialEnd]:
    """Who runs a trial. Raises ConfigError without Ray."""
    if name != "ray":
        return run_trial
    from ppmm.app.ray_engine import RayEngine

    engine = RayEngine(address, jobs)
    return lambda run: next(iter(engine.map(run_trial, [run])))[1]  # type: ignore[no-any-return]


def _trial_run(
    number: int,
    values: dict[str, Any],
    path: str,
    overrides: Sequence[str],
    config: ConfigNode,
    folder: Path,
    study: Path,
    pruner: str,
) -> TrialRun:
    name = f"trial-{number:04d}"
    report = {"name": "report_trial", "study": str(study.absolute()), "trial": number, "pruner": pruner}
    report["epochs"] = config["trainer"]["epochs"]
    options = [
        *overrides,
        *(override(key, value) for key, value in values.items()),
        override("hooks", [*plain(config.get("hooks", [])), report]),
        override("output", str((folder / "trials").absolute())),
        override("name", name),
    ]
    there = ["--overwrite"] if (folder / "trials" / name / "config.yaml").exists() else []
    arguments = ["tools/train.py", "-c", path, *there, "-o", *options]
    return TrialRun(number, arguments, os.getcwd(), str((folder / "trials" / f"{name}.log").absolute()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
