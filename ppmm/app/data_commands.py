"""The commands of tools/data.py: one line each, naming the module that has ``add_arguments`` and ``run``."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

__all__ = ["COMMANDS", "parse", "run_command"]

COMMANDS = {
    "make": ("build a data set", "ppmm.app.data_make"),
    "unpack": ("unpack .tar.gz or .zip, refusing unsafe members", "ppmm.app.data_unpack"),
    "describe": ("what the data of a YAML holds", "ppmm.app.describe"),
    "check": ("decode everything and say what is wrong with which rows", "ppmm.app.curate_check"),
    "clean": ("write a manifest of the fit rows, and a list of the others with reasons", "ppmm.app.curate_clean"),
    "dedup": ("find equal and nearly equal images, recordings and texts", "ppmm.app.curate_dedup"),
    "split": ("deal rows into train, val, test", "ppmm.app.curate_split"),
    "stats": ("write a report with pictures", "ppmm.app.curate_stats"),
    "shard": ("write a split as tar files (WebDataset layout)", "ppmm.app.data_shard"),
    "annotate": ("export to and import from Label Studio; rank what to label next", "ppmm.app.curate_annotate"),
}
"""name -> (help, module). The module's ``run(args)`` returns the exit code, None or 0 when all is well."""


def parse(arguments: Sequence[str], description: str) -> argparse.Namespace:
    """The options of the command that ``arguments`` name; only its module is imported."""
    parser = argparse.ArgumentParser(description=description)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, module) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if arguments and arguments[0] == name:
            importlib.import_module(module).add_arguments(command)
    return parser.parse_args(arguments)


def run_command(args: argparse.Namespace) -> int:
    """Run the chosen command; returns its exit code."""
    return int(importlib.import_module(COMMANDS[args.command][1]).run(args) or 0)
