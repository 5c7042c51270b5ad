"""Other tools in processes of their own, none of which outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ppmm.command import PARENT

__all__ = ["child_environment", "interrupt_children", "run_child"]


def run_child(command: Sequence[str], stream: Any, folder: str | None = None) -> int:
    """Run one tool with this Python, its output to ``stream``; returns its exit code, negative after a signal.

    Ctrl-C in the terminal does not reach it: `interrupt_children` does, once.
    """
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env=child_environment(), stdin=subprocess.DEVNULL, stdout=stream,
        stderr=subprocess.STDOUT, start_new_session=True, check=False,
    )  # fmt: skip
    return ended.returncode


def child_environment() -> dict[str, str]:
    """Ours, and a word by which `ppmm.command.run` of the other process lets the system end it after this one."""
    return {**os.environ, PARENT: str(os.getpid())}


def interrupt_children() -> None:
    """Ctrl-C for every process that `run_child` has under way, in whichever thread."""
    ours = f"{PARENT}={os.getpid()}".encode()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text(encoding="ascii").split():
                if ours in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                    os.kill(int(child), signal.SIGINT)
