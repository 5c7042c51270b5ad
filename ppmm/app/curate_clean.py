"""tools/data.py clean: a manifest of the fit rows, and a list of the others with the reason for each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppmm.app.curate_check import check_rows
from ppmm.app.curate_dedup import add_nearness_arguments, duplicates_of
from ppmm.app.curate_source import (
    add_limit_arguments,
    add_source_arguments,
    add_work_arguments,
    collections_of,
)

if TYPE_CHECKING:
    from ppmm.data.curate.collection import Collection
    from ppmm.data.curate.duplicates import Group

__all__ = ["add_arguments", "run", "target_of", "write_rows"]

DELIMITERS = (".csv", ".tsv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``clean``."""
    add_source_arguments(parser)
    add_limit_arguments(parser)
    add_nearness_arguments(parser)
    add_work_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder; each manifest's own by default")
    parser.add_argument("--duplicates", action="store_true", help="also all but one of each group of duplicates")
    parser.add_argument("--also", nargs="+", default=[], metavar="KIND", help="further kinds of findings that go")
    parser.add_argument("--spare", nargs="+", default=[], metavar="KIND", help="kinds of findings that stay")


def run(args: argparse.Namespace) -> int:
    """Write ``NAME.clean.SUFFIX`` and ``NAME.quarantine.jsonl`` for each manifest; the originals stay as they are."""
    from ppmm.data.curate.clean import duplicate_reasons, finding_reasons, sort_rows
    from ppmm.data.curate.table_writer import write_table

    kinds = _kinds(args)
    collections = collections_of(args)
    _refuse_one_target(args.out, collections)
    reasons = finding_reasons(collections, check_rows(args, collections).findings, kinds)
    if args.duplicates:
        groups = duplicates_of(args, collections).groups
        chosen = [group for group in groups if args.columns or not _are_captions(group, collections)]
        reasons += duplicate_reasons(collections, chosen)
        if spared := len(groups) - len(chosen):
            print(f"{spared:,} groups of like texts beside images or recordings stay; --columns COLUMN would take them")
    sorted_rows = [sort_rows(collection, number, reasons) for number, collection in enumerate(collections)]
    for collection, (kept, _) in zip(collections, sorted_rows, strict=True):  # before anything is written
        _refuse_none(collection, "clean", kept)
    for collection, (kept, gone) in zip(collections, sorted_rows, strict=True):
        # The list first: a clean manifest is never without the reasons for what it lacks.
        quarantine = target_of(args.out, collection, "clean").with_name(f"{_stem(collection)}.quarantine.jsonl")
        write_table(quarantine, [_entry(collection, index, texts) for index, texts in gone.items()])
        clean = write_rows(args.out, collection, "clean", kept)
        print(f"{collection.name}: {len(kept):,} rows -> {clean}; {len(gone):,} -> {quarantine}")
        if clean.parent.resolve() != collection.root.resolve():
            print(f"  in the YAML add root: {collection.root}")
    return 0


def _are_captions(group: Group, collections: Sequence[Collection]) -> bool:
    """Whether a group is of texts beside images or recordings: captions and questions repeat by nature."""
    numbers = group.collections if group.kind == "text" else ()
    return any(collections[number].columns("image", "audio") for number in numbers)


def target_of(out: Path | None, collection: Collection, mark: str) -> Path:
    """``NAME.MARK.SUFFIX`` in ``out`` or beside the manifest. Raises DataError where neither says where to write."""
    from ppmm.errors import DataError

    folder = out if out is not None else collection.path.parent if collection.path is not None else None
    if folder is None:
        raise DataError(f"split '{collection.name}' comes from no manifest: give --out FOLDER")
    suffix = collection.path.suffix if collection.path is not None else ".jsonl"
    return folder / f"{_stem(collection)}.{mark}{suffix}"


def write_rows(out: Path | None, collection: Collection, mark: str, indices: list[int]) -> Path:
    """Rows of a collection, their cells unchanged, as `target_of` says. Raises DataError, also when there are none."""
    from ppmm.data.convert import PARQUET
    from ppmm.data.curate.table_writer import copy_rows, write_table

    path = target_of(out, collection, mark)
    _refuse_none(collection, mark, indices)
    if collection.path is not None and path.suffix.lower() in PARQUET:
        copy_rows(collection.path, path, indices)
        return path
    known = collection.known_columns()
    # The first row names every column, so that a CSV keeps them all in their order.
    first = dict.fromkeys(known or ()) if path.suffix.lower() in DELIMITERS else {}
    write_table(path, ({**first, **collection.rows[index].cells} for index in indices))
    return path


def _refuse_none(collection: Collection, mark: str, indices: Sequence[int]) -> None:
    from ppmm.errors import DataError

    if not indices:
        raise DataError(f"'{collection.name}': no row would be left for {mark}; look at check, or spare some kinds")


def _refuse_one_target(out: Path | None, collections: Sequence[Collection]) -> None:
    """Raises DataError where two manifests would be written to one file."""
    from ppmm.errors import DataError

    taken: dict[Path, str] = {}
    for collection in collections:
        path = target_of(out, collection, "clean").resolve()
        if path in taken:
            raise DataError(
                f"'{taken[path]}' and '{collection.name}' would both be written to '{path}'; "
                "clean them one by one, each with an --out of its own"
            )
        taken[path] = collection.name


def _entry(collection: Collection, index: int, texts: list[str]) -> dict[str, Any]:
    row = collection.rows[index]
    cells = json.loads(json.dumps(row.cells, default=str))
    return {"row": row.line, "id": collection.id(index), "reasons": texts, "cells": cells}


def _stem(collection: Collection) -> str:
    return collection.path.stem if collection.path is not None else collection.name


def _kinds(args: argparse.Namespace) -> set[str]:
    """Kinds of findings that send a row away. Raises ConfigError for an unknown one."""
    from ppmm.data.curate.findings import KIND_TEXTS, UNFIT
    from ppmm.errors import ConfigError
    from ppmm.registry import did_you_mean

    for kind in (*args.also, *args.spare):
        if kind not in KIND_TEXTS:
            raise ConfigError(f"no kind of finding '{kind}'{did_you_mean(kind, KIND_TEXTS)}")
    return (set(UNFIT) | set(args.also)) - set(args.spare)
