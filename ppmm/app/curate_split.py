"""tools/data.py split: one manifest -> train, val, test ..."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ppmm.app.curate_clean import write_rows
from ppmm.app.curate_source import add_source_arguments, collections_of

if TYPE_CHECKING:
    from ppmm.data.curate.collection import Collection

__all__ = ["add_arguments", "run"]

PART = re.compile(r"[\w-]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``split``."""
    add_source_arguments(parser)
    parser.add_argument(
        "--parts", nargs="+", default=["train=0.8", "val=0.1", "test=0.1"], metavar="NAME=SHARE", help="what to make"
    )
    parser.add_argument("--no-strata", action="store_true", help="do not keep the shares of the classes")
    parser.add_argument("--seed", type=int, default=0, help="another seed deals other rows")
    parser.add_argument("--out", type=Path, help="folder; the manifest's own by default")


def run(args: argparse.Namespace) -> int:
    """Write ``NAME.PART.SUFFIX`` for each part and print its rows and classes."""
    from ppmm.data.curate.split import split_rows
    from ppmm.errors import DataError

    collections = collections_of(args)
    if len(collections) != 1:
        raise DataError("split takes one manifest (or one --split of a YAML)")
    collection = collections[0]
    labels, groups = collection.columns("label"), collection.columns("group")
    if len(groups) > 1:
        raise DataError("split groups by one column; give one --group")
    count = len(collection)
    strata = [tuple(str(collection.value(i, c)) for c in labels) for i in range(count)]
    dealt = split_rows(
        [collection.id(index) for index in range(count)],
        _shares(args.parts),
        strata=strata if labels and not args.no_strata else None,
        groups=[_text(collection.value(i, groups[0])) for i in range(count)] if groups else None,
        seed=args.seed,
    )
    for name, indices in dealt.items():
        path = write_rows(args.out, collection, name, indices)
        print(f"{name}: {len(indices):,} rows -> {path}{_classes(collection, indices, labels)}")
    return 0


def _shares(parts: list[str]) -> dict[str, float]:
    """``["train=0.8"]`` -> {"train": 0.8}. Raises DataError."""
    from ppmm.errors import DataError
    from ppmm.sample_arguments import pairs

    shares: dict[str, float] = {}
    given = pairs(parts)
    if len(given) < len(parts):
        raise DataError(f"--parts: a name is given twice in {' '.join(parts)}")
    for name, share in given.items():
        if PART.fullmatch(name) is None:
            raise DataError(f"--parts {name}={share}: the name becomes part of a file's; take letters, digits, - and _")
        try:
            shares[name] = float(share)
        except ValueError as error:
            raise DataError(f"--parts {name}={share}: the share must be a number") from error
    return shares


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _classes(collection: Collection, indices: list[int], labels: list[str]) -> str:
    """The most frequent classes of the first label, for the eye."""
    if not labels:
        return ""
    counts = Counter(str(collection.value(index, labels[0])) for index in indices).most_common(8)
    return "; " + ", ".join(f"{label} {count / len(indices):.1%}" for label, count in counts)
