"""tools/data.py shard: a split as tar files in the WebDataset layout."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppmm.app.curate_source import add_engine_arguments, engine_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("-c", "--config", required=True, help="YAML whose data section names the split")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--split", default="train")
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--samples", type=int, default=10_000, help="most samples of a shard")
    add_engine_arguments(parser, workers=0)


def run(args: argparse.Namespace) -> None:
    """Write the shards."""
    from ppmm.app.data import shard_split

    engine = engine_of(args) if args.engine == "ray" or args.workers else None
    shard_split(args.config, args.out, args.override, split=args.split, samples=args.samples, engine=engine)
