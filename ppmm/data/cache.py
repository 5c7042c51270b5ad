"""Files that ppmm makes from a user's files and finds again: converted tables, indexes of shards."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, TypeVar

from ppmm.errors import DataError

__all__ = ["CACHE_FOLDER", "cached", "import_arrow"]

CACHE_FOLDER = ".ppmm_cache"
Opened = TypeVar("Opened")


def import_arrow() -> ModuleType:
    """The module pyarrow. Raises DataError with the way to install it."""
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise DataError(f"manifests and shards need pyarrow: pip install 'ppmm[train]' ({error})") from error


def cached(
    source: Path,
    name: str,
    folder: Path | None,
    make: Callable[[IO[bytes]], None],
    read: Callable[[Path], Opened | None],
) -> Opened:
    """What ``read`` opens of the file ``name`` in the cache; ``make`` writes it where there is none that can be read.

    Looked for in ``folder`` or, where that is None, in ``.ppmm_cache`` beside ``source`` and then in the user's own
    cache. A new file is written under a name of its own and renamed, so that other processes see the whole of it or
    nothing; two that make it at the same time both succeed. Where no folder can be written the file is a nameless
    temporary one, which is gone when it is closed.

    Args:
        source: what the file is made from.
        name: of the file; it must change with the content of ``source``.
        folder: a place for it that the user has chosen.
        make: writes the content; DataError passes through.
        read: gives None for a file that is damaged.

    Raises:
        DataError: ``folder`` cannot be written, or the disk is full.
    """
    places = [folder] if folder is not None else [source.parent / CACHE_FOLDER, *_user_cache()]
    for place in places:
        found = read(place / name) if (place / name).is_file() else None
        if found is not None:
            return found
    for temporary, final in _places_to_write(places, name, nameless=folder is None):
        try:
            with temporary:
                make(temporary.file)
                temporary.file.flush()
                if final is not None:
                    os.chmod(temporary.name, 0o644)  # others may share the folder; temporary files are private
                    os.replace(temporary.name, final)
                made = read(final or Path(temporary.name))
        except OSError as error:
            raise DataError(f"'{source}': its cache in '{Path(temporary.name).parent}' cannot be written: {error}"
                            "; choose another folder with cache") from error  # fmt: skip
        finally:
            Path(temporary.name).unlink(missing_ok=True)
        assert made is not None
        return made
    raise DataError(f"'{source}': no folder can be written for its cache; looked at {', '.join(map(str, places))}")


def _user_cache() -> list[Path]:
    """The user's own cache; nothing where the user has no home, as in some containers."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return [base / "ppmm"] if base.is_absolute() else []


def _places_to_write(
    places: list[Path], name: str, nameless: bool
) -> Iterator[tuple[tempfile._TemporaryFileWrapper[bytes], Path | None]]:
    """New files beside where they are to end, the first that can be made first; at last ``nameless`` ones."""
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            yield tempfile.NamedTemporaryFile(dir=place, prefix=f".{name}.", delete=False), place / name  # noqa: SIM115
        except OSError:
            continue
    if nameless:
        yield tempfile.NamedTemporaryFile(prefix="ppmm-", delete=False), None  # noqa: SIM115
