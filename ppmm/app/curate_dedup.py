"""tools/data.py dedup: equal and nearly equal images, recordings and texts, and leaks between splits."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppmm.app.curate_source import (
    add_source_arguments,
    add_work_arguments,
    collections_of,
    engine_of,
    journal_of,
)
from ppmm.app.document import write_document

if TYPE_CHECKING:
    from ppmm.data.curate.collection import Collection
    from ppmm.data.curate.duplicates import Duplicates

__all__ = ["add_arguments", "add_nearness_arguments", "duplicates_of", "run"]

SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``dedup``."""
    add_source_arguments(parser)
    add_nearness_arguments(parser)
    add_work_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="F", help="write every group there")


def add_nearness_arguments(parser: argparse.ArgumentParser) -> None:
    """What counts as a duplicate."""
    parser.add_argument("--columns", nargs="+", metavar="COLUMN", help="compare only these columns")
    parser.add_argument("--exact", action="store_true", help="equal values only")
    for name, kind, text in (
        ("bits", int, "largest distance of two fingerprints, of 64 bits (default 10)"),
        ("image-agreement", float, "smallest correlation of two images (default 0.97)"),
        ("audio-agreement", float, "smallest correlation of two spectra (default 0.98)"),
        ("text-similarity", float, "smallest Jaccard similarity of two texts (default 0.7)"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=text)


def run(args: argparse.Namespace) -> int:
    """Print the groups; returns 1 where there are any, else 0."""
    collections = collections_of(args)
    found = duplicates_of(args, collections)
    document = as_document(collections, found)
    write_document(args.json, document)
    print_groups(document)
    return 1 if found.groups else 0


def duplicates_of(args: argparse.Namespace, collections: list[Collection]) -> Duplicates:
    """Search with the options' idea of nearness. Raises DataError for an unknown column."""
    from ppmm.data.curate.duplicates import Nearness, find_duplicates
    from ppmm.errors import DataError
    from ppmm.registry import did_you_mean

    known = {column: None for one in collections for column in one.columns("image", "audio", "text")}
    for column in args.columns or ():
        if column not in known:
            raise DataError(f"--columns: no image, recording or text '{column}'{did_you_mean(column, known)}")
    given = {
        "bits": args.bits,
        "image_agreement": args.image_agreement,
        "audio_agreement": args.audio_agreement,
        "text": args.text_similarity,
    }
    nearness = Nearness(**{name: value for name, value in given.items() if value is not None}, near=not args.exact)
    journal = journal_of(args, "dedup", collections)
    try:
        return find_duplicates(collections, args.columns, nearness, engine_of(args), journal)
    finally:
        journal.close()


def as_document(collections: Sequence[Collection], found: Duplicates) -> dict[str, Any]:
    """The JSON: groups with kind, exact, leak (more than one split) and their rows, the one to keep first."""
    groups = [
        {
            "kind": group.kind,
            "exact": group.exact,
            "leak": len(group.collections) > 1,
            "rows": [
                {
                    "split": collections[place.collection].name,
                    "row": collections[place.collection].line(place.index),
                    "id": collections[place.collection].id(place.index),
                    "column": place.column,
                }
                for place in group.places
            ],
        }
        for group in found.groups
    ]
    rows = {collection.name: len(collection) for collection in collections}
    return {"rows": rows, "unreadable": found.unreadable, "groups": groups}


def print_groups(document: dict[str, Any]) -> None:
    """Groups by kind, leaks first."""
    groups = document["groups"]
    for group in sorted(groups, key=lambda one: not one["leak"])[:SHOWN]:
        names = [f"{row['split']}:{row['row']}" for row in group["rows"]]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        what = f"{'equal' if group['exact'] else 'near'} {group['kind']}{' in several splits' if group['leak'] else ''}"
        print(f"{what}: {', '.join(names[:SHOWN])}{more}")
    if len(groups) > SHOWN:
        print(f"and {len(groups) - SHOWN:,} more groups (--json F writes all)")
    leaks = sum(group["leak"] for group in groups)
    extra = sum(len(group["rows"]) - 1 for group in groups)
    print(f"{len(groups):,} groups, {extra:,} values too many; {leaks:,} groups are in several splits")
    if document["unreadable"]:
        print(f"{document['unreadable']:,} values cannot be read: see check")
