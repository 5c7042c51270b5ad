"""The command-line options that name one sample; tools/infer.py and deploy/predict.py share them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ppmm.errors import DataError

__all__ = ["add_sample_arguments", "pairs", "sample_of"]


def add_sample_arguments(parser: argparse.ArgumentParser) -> None:
    """Options for the default fields, and ``--field`` for those with other names."""
    parser.add_argument("--image", metavar="FILE", help="value of the field 'image'")
    parser.add_argument("--audio", metavar="FILE", help="value of the field 'audio'")
    parser.add_argument("--text", help="value of the field 'text'")
    parser.add_argument("--field", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="any other field")


def sample_of(args: argparse.Namespace) -> dict[str, Any]:
    """The raw sample that the options name; fields that were not given are absent."""
    sample = {name: getattr(args, name) for name in ("image", "audio", "text") if getattr(args, name) is not None}
    return {**sample, **pairs(args.field)}


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """``["a=b"]`` -> ``{"a": "b"}``. Raises DataError where there is no ``=``."""
    for text in texts:
        if "=" not in text:
            raise DataError(f"expected NAME=VALUE, got '{text}'")
    return dict(text.split("=", 1) for text in texts)
