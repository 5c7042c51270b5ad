"""Make or unpack data: python tools/data.py make digits-qa --out data/digits_qa."""

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
    describe = commands.add_parser("describe", help="what the data of a YAML holds: sizes, counts, samples")
    describe.add_argument("-c", "--config", required=True, help="YAML whose data section names the splits")
    describe.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    describe.add_argument("--json", type=Path, metavar="F", help="figures; a sheet of samples goes to F with .html")
    args = parser.parse_args()
    if args.command == "describe":
        from ppmm.app.describe import run as run_describe

        run_describe(args)
        return

    from ppmm.app.data import make_digits_qa, unpack_archive

    if args.command == "make":
        make_digits_qa(args.out, seed=args.seed, train=args.train, test=args.test)
    else:
        unpack_archive(args.archive, args.out)


if __name__ == "__main__":
    run(main)
