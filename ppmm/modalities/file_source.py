"""Paths given as values: refuse what is not a readable, non-empty regular file before any decoder sees it."""

from __future__ import annotations

import stat
from pathlib import Path

from ppmm.errors import DataError

__all__ = ["check_file", "read_file"]


def check_file(path: str | Path, what: str, max_bytes: int | None = None) -> Path:
    """The path, once it is known to be a non-empty regular file of at most ``max_bytes``.

    Args:
        path: the file.
        what: noun for messages, such as ``image``.
        max_bytes: size limit in bytes, None for none.

    Raises:
        DataError: missing, a directory or device, empty, too large, or not accessible.
    """
    found = Path(path)
    try:
        status = found.stat()
    except FileNotFoundError as error:
        raise DataError(f"{what} '{path}' does not exist") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{what} '{path}' cannot be opened: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "device or pipe"
        raise DataError(f"{what} '{path}' is a {kind}; give the path of a file")
    if status.st_size == 0:
        raise DataError(f"{what} '{path}' is empty (0 bytes)")
    if max_bytes is not None and status.st_size > max_bytes:
        raise DataError(f"{what} '{path}' has {status.st_size:,} bytes; at most {max_bytes:,} (max_bytes)")
    return found


def read_file(path: str | Path, what: str, max_bytes: int) -> bytes:
    """The content of a checked file. Raises DataError as `check_file` does."""
    found = check_file(path, what, max_bytes)
    try:
        return found.read_bytes()
    except OSError as error:
        raise DataError(f"{what} '{path}' cannot be read: {error}") from error
