"""make results: every grid under configs/_grids_, robustness of some of it, and the page that shows what came out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.app.ablate import cached_results, run_grid
from ppmm.app.checkpoints import versions
from ppmm.app.document import write_document
from ppmm.app.grid import Grid, cells_of, open_grid
from ppmm.app.grid_summary import markdown, summarise, write_summary
from ppmm.app.robustness_results import (
    RobustnessOf,
    measured,
    open_robustness,
    robustness_entry,
    robustness_section,
)
from ppmm.errors import ConfigError, DataError, PpmmError

__all__ = ["COMPRESSION", "known_results", "record_compression", "write_results"]

COMPRESSION = "compression"
"""Key of the rows that tools/compress.py records."""
GRIDS, ROBUSTNESS = Path("configs/_grids_"), Path("configs/_robustness_")


def write_results(
    grids: Sequence[str] | None = None,
    *,
    out: str = "output/grids",
    docs: str = "docs",
    jobs: int = 2,
    cached: bool = False,
) -> None:
    """Run the grids, what is done already excepted, and write ``results.md`` and ``results.json``.

    Args:
        grids: YAML files; all of configs/_grids_ when None, and then what configs/_robustness_ measures of them too.
        out: folder of all grids.
        docs: where the two files go.
        jobs: cells trained at the same time.
        cached: train nothing; the page says what is missing.

    A grid that fails does not keep the others from running; raises PpmmError at the end.
    """
    paths = [Path(path) for path in grids] if grids else sorted(GRIDS.glob("*.yaml"))
    if not paths:
        raise ConfigError(f"no grid under {GRIDS}; start the tool in the project's folder")
    opened = {path: open_grid(path) for path in paths}
    failures: list[str] = []
    summaries: dict[Path, dict[str, Any]] = {}
    for path, grid in opened.items():
        try:
            results = cached_results(grid, Path(out)) if cached else run_grid(grid, Path(out), jobs=jobs)
        except PpmmError as error:
            failures.append(str(error))
            results = cached_results(grid, Path(out))
        if results:
            summaries[path] = summarise(grid, results)
            write_summary(Path(out) / grid.name, summaries[path])
    curves: dict[str, tuple[RobustnessOf, dict[str, Any] | None]] = {}
    for path in () if grids else sorted(ROBUSTNESS.glob("*.yaml")):
        try:
            wanted = open_robustness(path)
            curves[wanted.name] = (wanted, measured(wanted, Path(out), cached))
        except PpmmError as error:
            failures.append(str(error))
    _write(Path(docs), opened, summaries, curves)
    if failures:
        raise PpmmError("\n".join(failures))


def known_results(path: Path) -> dict[str, Any]:
    """What is in the file; nothing where there is none. Raises DataError where it is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no results; delete it or name another")
    return found


def record_compression(row: Mapping[str, Any], path: Path) -> None:
    """Put one row into ``compression`` of the file, in the place of that of the same name."""
    found = known_results(path)
    rows = [other for other in found.get(COMPRESSION, []) if other["name"] != row["name"]]
    write_document(path, {**found, COMPRESSION: [*rows, dict(row)]})


def _extent(grid: Grid, summary: dict[str, Any]) -> str:
    """How much was trained, and what was not."""
    done, wanted = sum(row["runs"] for row in summary["rows"]), len(cells_of(grid))
    rest = "" if done == wanted else f" {wanted - done} of the {wanted} cells are not run yet."
    return f"{summary['minutes']} minutes of training.{rest}"


def _write(
    docs: Path,
    grids: dict[Path, Grid],
    summaries: dict[Path, dict[str, Any]],
    curves: dict[str, tuple[RobustnessOf, dict[str, Any] | None]],
) -> None:
    """Both files, the page and the figures it shows."""
    page = [
        "# Results",
        "",
        "Written by `make results`, which trains whatever of this is not done yet; a cell is run once and kept, so its "
        "figures are of the tree it was run on, on the splits that the YAMLs name. "
        "Mean ± sample standard deviation over the seeds. `train s` and "
        "`ms/sample` were taken on a shared machine of two cores and are only good for comparison.",
        "",
        ", ".join(f"{name} {version}" for name, version in versions().items()),
    ]
    for path, grid in grids.items():
        page += ["", f"## {grid.title or grid.name}", "", *([grid.text.strip(), ""] if grid.text else [])]
        page += [f"`python tools/ablate.py -g {path}`", ""]
        summary = summaries.get(path)
        page += ["Not run yet."] if summary is None else [markdown(summary), "", _extent(grid, summary)]
    for wanted, found in curves.values():
        page += ["", *robustness_section(wanted, found)]
    figures = {summary["name"]: summary for summary in summaries.values()}
    figures |= {name: robustness_entry(wanted, found) for name, (wanted, found) in curves.items() if found is not None}
    try:
        docs.mkdir(parents=True, exist_ok=True)
        (docs / "results.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {docs}/results.md: {error}") from error
    kept = known_results(docs / "results.json").get(COMPRESSION)
    write_document(docs / "results.json", figures if kept is None else {**figures, COMPRESSION: kept})
    print(f"{docs}/results.md, {docs}/results.json", file=sys.stderr)
