"""tools/data.py check: what is wrong with which rows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppmm.app.curate_source import (
    add_limit_arguments,
    add_source_arguments,
    add_work_arguments,
    collections_of,
    engine_of,
    journal_of,
    limits_of,
)
from ppmm.app.document import write_document

if TYPE_CHECKING:
    from ppmm.data.curate.check import Checked
    from ppmm.data.curate.collection import Collection

__all__ = ["add_arguments", "check_rows", "run"]

SHOWN = 5
"""Rows that the screen shows of each kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``check``."""
    add_source_arguments(parser)
    add_limit_arguments(parser)
    add_work_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="F", help="write every finding there")


def run(args: argparse.Namespace) -> int:
    """Print what was found; returns 1 where anything was, else 0."""
    collections = collections_of(args)
    checked = check_rows(args, collections)
    document = as_document(collections, checked)
    write_document(args.json, document)
    print_findings(document)
    return 1 if checked.findings else 0


def check_rows(args: argparse.Namespace, collections: list[Collection]) -> Checked:
    """Look at every row, or take over what the journal knows."""
    from ppmm.data.curate.check import check_collections

    journal = journal_of(args, "check", collections)
    try:
        return check_collections(collections, limits_of(args), engine_of(args), journal)
    finally:
        journal.close()


def as_document(collections: Sequence[Collection], checked: Checked) -> dict[str, Any]:
    """The JSON of a check: rows by split, counts by kind, findings with split, row (line), id, column and detail."""
    from ppmm.data.curate.findings import count_kinds

    return {
        "rows": {collection.name: len(collection) for collection in collections},
        "counts": count_kinds(checked.findings),
        "findings": [finding.as_dict() for finding in checked.findings],
    }


def print_findings(document: dict[str, Any]) -> None:
    """Kinds with their number and first rows."""
    from ppmm.data.curate.findings import KIND_TEXTS

    for kind, count in document["counts"].items():
        print(f"{kind}: {count:,} ({KIND_TEXTS[kind]})")
        of_kind = [one for one in document["findings"] if one["kind"] == kind]
        for one in of_kind[:SHOWN]:
            row = "" if one["row"] is None else f" row {one['row']} ({one['id']})"
            print(f"  {one['split']}{row} {one['column']}: {one['detail']}")
        if count > SHOWN:
            print(f"  and {count - SHOWN:,} more")
    rows = ", ".join(f"{name} {number:,}" for name, number in document["rows"].items())
    print(f"{rows} rows: {sum(document['counts'].values()):,} findings")
