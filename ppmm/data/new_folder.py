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

    Args:
        out: must not exist, or be an empty folder.

    Raises:
        DataError: ``out`` is something else already, or its parent cannot be written.
    """
    out = Path(os.path.abspath(out))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists already and is not an empty folder; delete it or choose another one")
    making = out.with_name(f".{out.name}.making-{os.getpid()}")
    try:
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
