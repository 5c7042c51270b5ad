"""tools/ablate.py: train and evaluate every cell of a grid, each once, and sum them up in one table."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ppmm.app.child import interrupt_children, run_child
from ppmm.app.claim import claim
from ppmm.app.document import write_document
from ppmm.app.experiment import open_experiment
from ppmm.app.grid import Cell, Grid, cells_of, config_key, open_grid
from ppmm.app.grid_summary import summarise, write_summary
from ppmm.config import loads
from ppmm.errors import ConfigError, PpmmError

__all__ = ["ablate", "cached_results", "check_cells", "run_grid"]

RESULT = "result.json"


def ablate(path: str, *, out: str = "output/grids", jobs: int = 1, fresh: bool = False, only: str = "") -> None:
    """Run one grid and print its table; cells that are done are taken from their ``result.json``.

    Args:
        path: YAML of the grid.
        out: folder of all grids.
        jobs: cells trained at the same time, each in processes of its own.
        fresh: train anew what is done.
        only: a part of a cell's name; the others are left out.
    """
    grid = open_grid(path)
    run_grid(grid, Path(out), jobs=jobs, fresh=fresh, only=only)
    summary = summarise(grid, cached_results(grid, Path(out)))
    print(write_summary(Path(out) / grid.name, summary))
    print(f"table, figures and picture: {Path(out) / grid.name}/summary.{{md,json,svg}}")


def run_grid(grid: Grid, out: Path, *, jobs: int = 1, fresh: bool = False, only: str = "") -> list[dict[str, Any]]:
    """The result of every cell, in the grid's order. Raises PpmmError at the end when some of them failed."""
    if jobs < 1:
        raise ConfigError(f"--jobs must be at least 1, got {jobs}")
    cells = [cell for cell in cells_of(grid) if only in cell.slug]
    if not cells:
        raise ConfigError(f"--only {only}: no cell of {grid.name} has that in its name")
    folder = out / grid.name
    done = {} if fresh else {cell.slug: found for cell in cells if (found := _cached(cell, folder)) is not None}
    todo = [cell for cell in cells if cell.slug not in done]
    print(f"{grid.name}: {len(cells)} cells, {len(done)} of them done", file=sys.stderr, flush=True)
    check_cells(grid, todo)
    failed: list[str] = []
    with claim(folder), ThreadPoolExecutor(jobs) as pool:
        stop = threading.Event()
        waiting = {pool.submit(_run_cell, grid, cell, folder, fresh, stop): cell for cell in todo}
        try:
            for cell, future in _as_finished(waiting, grid.name):
                error = future.exception()
                if error is None:
                    done[cell.slug] = future.result()
                elif isinstance(error, PpmmError):
                    failed.append(str(error))
                else:
                    raise error
        except BaseException:
            stop.set()
            interrupt_children()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if failed:
        raise PpmmError("\n  ".join([f"{len(failed)} of {len(cells)} cells of {grid.name} failed:", *failed]))
    return [done[cell.slug] for cell in cells]


def check_cells(grid: Grid, cells: Sequence[Cell]) -> None:
    """See that every cell's config is right before the first is trained. Raises ConfigError with all problems."""
    problems: list[str] = []
    for cell in cells:
        try:
            open_experiment(cell.config, cell.override)
        except ConfigError as error:
            problems.extend(f"{grid.name} [{' '.join(cell.labels.values())}]: {problem}" for problem in error.problems)
    if problems:
        raise ConfigError(problems)


def cached_results(grid: Grid, out: Path) -> list[dict[str, Any]]:
    """The results of the cells that are done, in the grid's order."""
    found = [_cached(cell, out / grid.name) for cell in cells_of(grid)]
    return [result for result in found if result is not None]


def _as_finished(
    waiting: dict[Future[dict[str, Any]], Cell], name: str
) -> Iterable[tuple[Cell, Future[dict[str, Any]]]]:
    """Cells as they end, behind a progress bar; plain lines where stderr is not a terminal."""
    terminal = sys.stderr.isatty()
    pending = set(waiting)
    began = time.monotonic()
    with tqdm(total=len(pending), desc=name, unit="cell", disable=not terminal) as bar:
        while pending:
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                cell = waiting[future]
                bar.update()
                if not terminal:
                    finished = len(waiting) - len(pending)
                    left = (time.monotonic() - began) / finished * len(pending) / 60
                    state = "failed" if future.exception() else "done"
                    print(
                        f"{name}: {cell.slug} {state} ({finished}/{len(waiting)}, about {left:.0f} min left)",
                        file=sys.stderr,
                    )
                yield cell, future


def _cached(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """The result of an earlier run of the very same cell."""
    try:
        found = json.loads((folder / cell.slug / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("key") == cell.key else None


def _run_cell(grid: Grid, cell: Cell, folder: Path, fresh: bool, stop: threading.Event) -> dict[str, Any]:
    """Train (or go on training), evaluate, measure; returns and keeps the result."""
    if stop.is_set():
        raise PpmmError(f"{cell.slug}: not started")
    run = folder / cell.slug
    folder.mkdir(parents=True, exist_ok=True)
    (run / RESULT).unlink(missing_ok=True)
    log = folder / f"{cell.slug}.log"
    with log.open("w", encoding="utf-8") as stream:
        again = (
            []
            if not (run / "config.yaml").exists()
            else ["--overwrite" if fresh or not _same(run, cell) else "--resume"]
        )
        train = [
            "tools/train.py",
            "-c",
            cell.config,
            *again,
            "-o",
            *cell.override,
            f"output={folder}",
            f'name="{cell.slug}"',  # quoted: a seed alone would be a number
        ]
        _command(train, stream, log)
        best = run / "checkpoints" / "best"
        splits = {split: _evaluate(grid, best, split, run, stream, log) for split in grid.splits}
        manifest = json.loads((best / "manifest.json").read_text(encoding="utf-8"))
        result: dict[str, Any] = {
            "key": cell.key, "labels": cell.labels, "config": cell.config, "override": cell.override,
            "seconds": _trained_seconds(run), "step": manifest["step"], "parameters": manifest["parameters"],
            "splits": splits,
        }  # fmt: skip
        if grid.latency:
            result["latency"] = _measure(best, run, grid.splits[0], stream, log)
    write_document(run / RESULT, result)
    return result


def _trained_seconds(run: Path) -> float:
    """Time spent in training steps, of all sessions of the run."""
    lines = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return round(float(json.loads(lines[-1])["seconds"]), 1) if lines else 0.0


def _same(run: Path, cell: Cell) -> bool:
    """Whether an unfinished run has a checkpoint to go on from and was started with this very config."""
    if not (run / "checkpoints" / "last").exists():
        return False
    try:
        config = loads((run / "config.yaml").read_text(encoding="utf-8"), file=str(run / "config.yaml"))
    except (OSError, ConfigError):
        return False
    return config_key(config) == cell.config_key


def _evaluate(grid: Grid, best: Path, split: str, run: Path, stream: Any, log: Path) -> list[dict[str, Any]]:
    """Figures of one split: [{fields, dropped, rows, metrics}], the whole set of fields first."""
    file = run / f"metrics_{split}.json"
    more = ["--subsets"] if grid.subsets else []
    _command(["tools/eval.py", "-w", str(best), "--split", split, "--out", str(file), *more], stream, log)
    results = json.loads(file.read_text(encoding="utf-8"))["results"]
    return [{key: entry[key] for key in ("fields", "dropped", "rows", "metrics")} for entry in results]


def _measure(best: Path, run: Path, split: str, stream: Any, log: Path) -> dict[str, Any]:
    """Export the checkpoint, and time the bundle in a process of its own."""
    bundle, file = str(run / "bundle"), run / "latency.json"
    _command(["deploy/export.py", "-w", str(best), "--out", bundle], stream, log)
    _command(["tools/bench.py", "bundle", bundle, "-w", str(best), "--split", split, "--json", str(file)], stream, log)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _command(command: Sequence[str], stream: Any, log: Path) -> None:
    """Run one tool with this Python, its output to the log. Raises PpmmError with its last words."""
    code = run_child(command, stream)
    if code in (130, -2):
        raise KeyboardInterrupt
    if code:
        stream.flush()
        lines = log.read_text(encoding="utf-8").strip().splitlines() or ["no output"]
        errors = [line for line in lines if line.startswith("error:")] or lines[-1:]
        raise PpmmError(f"{command[0]} of {log.stem} ended with {code}: {errors[-1]} (see {log})")
