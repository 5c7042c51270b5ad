"""The text lists of published data sets, read whole."""

from __future__ import annotations

from pathlib import Path

from ppmm.errors import DataError

__all__ = ["read_text"]


def read_text(path: Path) -> str:
    """The content of a UTF-8 file without its byte-order mark.

    Raises:
        DataError: missing, not readable, not UTF-8 (with the line).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 ({error.reason}); is it the file of the download?") from error
