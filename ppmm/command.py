"""How every command-line tool ends: a user's mistake is one clear message and a number, never a stack trace."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from ppmm.errors import PpmmError

__all__ = ["PARENT", "run"]

PARENT = "PPMM_PARENT"
"""Environment variable: the process without which this one has no purpose."""
PR_SET_PDEATHSIG = 1

NOISE = ("No ccache found", "When training, we now always track global mean and variance")
"""Warnings of Paddle that no user of ppmm can act on."""


def run(main: Callable[[], None]) -> NoReturn:
    """Call ``main`` and exit: 0 when done, 2 after a PpmmError, 130 after Ctrl-C, 141 when the reader went away."""
    _end_with_parent()
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


def _end_with_parent() -> None:
    """Have the system send SIGTERM when the process dies that started this one and said so; Linux only."""
    if os.environ.get(PARENT) != str(os.getppid()) or not sys.platform.startswith("linux"):
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has its children ignore Ctrl-C
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ[PARENT] != str(os.getppid()):  # it has died meanwhile
        sys.exit(128 + signal.SIGTERM)
