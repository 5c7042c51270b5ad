"""tools/data.py make: data sets built from what ppmm ships."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


WHAT = {
    "digits-qa": "handwritten digits, spoken digits and questions about both",
    "digits-scenes": "rows of handwritten digits, their captions and their digits spoken, for retrieval",
}
TEST_ROWS = {"digits-qa": 1000, "digits-scenes": 500}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``make``."""
    described = "; ".join(f"{name}: {text}" for name, text in WHAT.items())
    parser.add_argument("what", choices=tuple(WHAT), help=described)
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=12000, help="rows of the training split")
    parser.add_argument("--test", type=int, help="rows of each other split; 1,000 for digits-qa, 500 for digits-scenes")


def run(args: argparse.Namespace) -> None:
    """Make it."""
    from ppmm.app.data import make_digits

    test = TEST_ROWS[args.what] if args.test is None else args.test
    make_digits(args.what, args.out, seed=args.seed, train=args.train, test=test)
