"""The whole way in one command: data, training, evaluation, export, prediction (make demo runs this)."""

import argparse
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, evaluate, export and use configs/quickstart.yaml.")
    parser.add_argument("--out", type=Path, default=Path("output"), help="folder of the run (default: output)")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    args = parser.parse_args()

    from ppmm.app.demo import demo

    demo(args.out, args.override)


if __name__ == "__main__":
    run(main)
