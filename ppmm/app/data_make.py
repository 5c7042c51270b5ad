"""tools/data.py make: data sets built from what ppmm ships."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``make``."""
    parser.add_argument(
        "what", choices=("digits-qa",), help="handwritten digits, spoken digits and questions about both"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=12000, help="rows of the training split")
    parser.add_argument("--test", type=int, default=1000, help="rows of each other split")


def run(args: argparse.Namespace) -> None:
    """Make it."""
    from ppmm.app.data import make_digits_qa

    make_digits_qa(args.out, seed=args.seed, train=args.train, test=args.test)
