"""tools/data.py unpack: archives -> folders."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``unpack``."""
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", required=True, type=Path, help="folder")


def run(args: argparse.Namespace) -> None:
    """Unpack it."""
    from ppmm.app.data import unpack_archive

    unpack_archive(args.archive, args.out)
