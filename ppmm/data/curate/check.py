"""Look at every cell of every row and say what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ppmm.data.curate.audio_check import measure_audio
from ppmm.data.curate.collection import Collection
from ppmm.data.curate.findings import Finding
from ppmm.data.curate.image_check import measure_image
from ppmm.data.curate.journal import Journal
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.measured import Measured
from ppmm.data.curate.table_check import check_columns
from ppmm.data.curate.text_check import measure_text
from ppmm.data.curate.work import Cell, Engine, cell_keys, run_cells
from ppmm.errors import PpmmError

__all__ = ["Checked", "check_collections"]

VERSION = 1
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
    places = [
        (number, index, column, value)
        for number, collection in enumerate(collections)
        for column in collection.columns(*MEASURES)
        for index, value in collection.values(column)
    ]
    cells = [Cell(collections[number].kinds[column], value) for number, _, column, value in places]
    keys = cell_keys(cells, VERSION, limits.__dict__)
    work = [Cell(cell.kind, (cell.value, limits)) for cell in cells]
    results = run_cells(measure_cells, work, keys, engine, journal, label, _killed)
    facts: list[dict[str, dict[int, dict[str, Any]]]] = [{} for _ in collections]
    findings: list[Finding] = []
    for (number, index, column, _), result in zip(places, results, strict=True):
        measured = Measured.from_json(result)
        facts[number].setdefault(column, {})[index] = measured.facts
        findings.extend(_finding(collections[number], index, column, *problem) for problem in measured.problems)
    for number, collection in enumerate(collections):
        findings.extend(_absent(collection, limits))
        findings.extend(check_columns(collection, facts[number], limits))
    order = {collection.name: place for place, collection in enumerate(collections)}
    findings.sort(key=lambda one: (one.index is None, order[one.split], one.index or 0))
    return Checked(findings, facts)


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
    row = collection.rows[index].line
    return Finding(kind, collection.name, index, row, collection.id(index), column, detail)
