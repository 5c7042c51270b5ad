"""How every command-line tool ends: a user's mistake is one clear message and a number, never a stack trace."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from ppmm.errors import PpmmError

__all__ = ["run"]

NOISE = ("No ccache found", "When training, we now always track global mean and variance")
"""Warnings of Paddle that no user of ppmm can act on."""


def run(main: Callable[[], None]) -> NoReturn:
    """Call ``main`` and exit: 0 when done, 2 after a PpmmError, 130 after Ctrl-C, 141 when the reader went away."""
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    try:
        main()
        sys.stdout.flush()
    except PpmmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(getattr(interrupt, "code", 130))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(0)
