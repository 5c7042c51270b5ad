"""Look at every cell of every row and say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ppmm.data.curate.audio_check import measure_audio
from ppmm.data.curate.collection import Collection
from ppmm.data.curate.findings import Finding
from ppmm.data.curate.image_check import measure_image
from ppmm.data.curate.journal import Journal
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.measured import Measured
from ppmm.data.curate.rows import DatasetRows
from ppmm.data.curate.table_check import check_columns
from ppmm.data.curate.text_check import measure_text
from ppmm.data.curate.work import Cell, Engine, blocks, cell_keys, run_cells
from ppmm.errors import DataError, PpmmError
from ppmm.registry import did_you_mean

__all__ = ["Checked", "check_collections"]

VERSION = 2
"""Of the measurements: an old journal is of no use after a change."""
MEASURES = {"image": measure_image, "audio": measure_audio, "text": measure_text}


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Args:
        findings: in the order of collections and rows, then those of whole columns.
        facts: for each collection, column -> row index -> figures (width, seconds, words ...).
    """

    findings: list[Finding]
    facts: list[dict[str, dict[int, dict[str, Any]]]]


def check_collections(
    collections: Sequence[Collection], limits: Limits, engine: Engine, journal: Journal, label: str = "check"
) -> Checked:
    """Decode every image and recording, read every text, then compare rows.

    Args:
        collections: the splits.
        limits: the bounds.
        engine: who works.
        journal: what an earlier, perhaps killed, run has measured.
        label: of the progress bar.
    """
    _check_required(collections, limits)
    facts: list[dict[str, dict[int, dict[str, Any]]]] = [{} for _ in collections]
    findings: list[Finding] = []
    for block in blocks(_places(collections, findings), lambda place: place.value):
        cells = [Cell(collections[place.number].kinds[place.column], place.value) for place in block]
        keys = cell_keys(cells, VERSION, limits.__dict__)
        work = [Cell(cell.kind, (cell.value, limits)) for cell in cells]
        results = run_cells(measure_cells, work, keys, engine, journal, label, _killed)
        for (number, index, column, _), result in zip(block, results, strict=True):
            facts[number].setdefault(column, {})[index] = result["facts"]
            problems = Measured.from_json(result).problems
            findings.extend(_finding(collections[number], index, column, *problem) for problem in problems)
    for number, collection in enumerate(collections):
        findings.extend(_absent(collection, limits))
        findings.extend(check_columns(collection, facts[number], limits))
    order = {collection.name: place for place, collection in enumerate(collections)}
    findings.sort(key=lambda one: (one.index is None, order[one.split], one.index or 0))
    return Checked(findings, facts)


class _Place(NamedTuple):
    """A value: number of its collection, row index, column."""

    number: int
    row: int
    column: str
    value: Any


def _places(collections: Sequence[Collection], findings: list[Finding]) -> Iterator[_Place]:
    """Every value that can be measured, row by row; rows and paths that no reader would open are findings."""
    for number, collection in enumerate(collections):
        columns = collection.columns(*MEASURES)
        for index in range(len(collection)):
            for column in columns:
                value = collection.value(index, column)
                if collection.leads_out(value):
                    detail = f"'{value}' is not below '{collection.root}'; give --root"
                    findings.append(_finding(collection, index, column, "outside", detail))
                elif value is not None:
                    yield _Place(number, index, column, value)
        problems = collection.rows.problems if isinstance(collection.rows, DatasetRows) else {}
        findings.extend(_finding(collection, index, "id", "unreadable", text) for index, text in problems.items())


def _check_required(collections: Sequence[Collection], limits: Limits) -> None:
    """Raises DataError for a column that no manifest has."""
    for collection in collections:
        known = collection.known_columns()
        for column in limits.required if known is not None else ():
            if known is not None and column not in known:
                raise DataError(
                    f"--required: '{collection.path}' has no column '{column}'{did_you_mean(column, known)}"
                )


def measure_cells(cells: list[Cell]) -> list[dict[str, Any]]:
    """What a worker does: cells of (value, limits) -> JSON of `Measured`."""
    return [_measure(cell).as_json() for cell in cells]


def _measure(cell: Cell) -> Measured:
    try:
        return MEASURES[cell.kind](*cell.value)
    except PpmmError:
        raise  # a package is missing
    except Exception as error:  # whatever a damaged file does to a decoder, the other rows are to be checked
        return Measured().problem("unreadable", f"{type(error).__name__}: {error}")


def _killed(cell: Cell) -> dict[str, Any]:
    return Measured().problem("unreadable", "the decoder crashed or ran out of memory on it").as_json()


def _absent(collection: Collection, limits: Limits) -> list[Finding]:
    """Rows that lack a column that they must have."""
    return [
        _finding(collection, index, column, "absent", "the cell is empty")
        for column in limits.required
        for index in range(len(collection))
        if collection.value(index, column) is None
    ]


def _finding(collection: Collection, index: int, column: str, kind: str, detail: str) -> Finding:
    row = collection.line(index)
    return Finding(kind, collection.name, index, row, collection.id(index), column, detail)
