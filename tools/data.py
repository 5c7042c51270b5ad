"""Make, unpack or shard data: python tools/data.py make digits-qa --out data/digits_qa."""

import argparse
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Data sets: made from what ppmm ships, or unpacked from archives.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="build a data set")
    make.add_argument("what", choices=("digits-qa",), help="handwritten digits, spoken digits and questions about both")
    make.add_argument("--out", required=True, type=Path, help="folder")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--train", type=int, default=12000, help="rows of the training split")
    make.add_argument("--test", type=int, default=1000, help="rows of each other split")
    unpack = commands.add_parser("unpack", help="unpack .tar.gz or .zip, refusing unsafe members")
    unpack.add_argument("archive", type=Path)
    unpack.add_argument("--out", required=True, type=Path, help="folder")
    shard = commands.add_parser("shard", help="write a split as tar files (WebDataset layout)")
    shard.add_argument("-c", "--config", required=True)
    shard.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    shard.add_argument("--split", default="train")
    shard.add_argument("--out", required=True, type=Path, help="folder")
    shard.add_argument("--samples", type=int, default=10_000, help="most samples of a shard")
    args = parser.parse_args()

    from ppmm.app.data import make_digits_qa, shard_split, unpack_archive

    if args.command == "make":
        make_digits_qa(args.out, seed=args.seed, train=args.train, test=args.test)
    elif args.command == "shard":
        shard_split(args.config, args.out, args.override, split=args.split, samples=args.samples)
    else:
        unpack_archive(args.archive, args.out)


if __name__ == "__main__":
    run(main)
