"""A folder that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppmm.errors import DataError

__all__ = ["new_folder"]


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``out`` to fill; rename it to ``out`` at the end, remove it on any error.

    A process that is killed cannot remove its own: the next one that makes the same ``out`` does.

    Args:
        out: must not exist, or be an empty folder.

    Raises:
        DataError: ``out`` is something else already, or its parent cannot be written.
    """
    out = Path(os.path.abspath(out))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists already and is not an empty folder; delete it or choose another one")
    making = out.with_name(f"{_beginning(out)}{os.getpid()}")
    try:
        _remove_stale(out)
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{out.parent} cannot be written: {error}") from error
    try:
        yield making
        making.replace(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _beginning(out: Path) -> str:
    """Of the names of its temporary folders; the number of the process that fills it follows."""
    return f".{out.name}.making-"


def _remove_stale(out: Path) -> None:
    """Remove the temporary folders of ``out`` whose process is dead."""
    if not out.parent.is_dir():
        return
    for path in out.parent.iterdir():
        number = path.name.removeprefix(_beginning(out))
        ours = number != path.name and number.isascii() and number.isdigit() and path.is_dir()
        if ours and not path.is_symlink() and not _lives(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _lives(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
