"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from ppmm.errors import DataError

__all__ = ["claim"]


def claim(folder: Path, option: str = "--out") -> TextIO:
    """Keep other runs out of ``folder``, which is made, until the file closes.

    Args:
        folder: the lock stands beside it.
        option: what the user may change, for messages.

    Raises:
        DataError: another run is at work there, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(f"another run is at work in {folder}; wait for it, or choose another {option}") from error
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error}; choose another {option}") from error
    return lock
