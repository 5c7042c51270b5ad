"""The folder of a published data set: finds its files, and says where it looked when they are not there."""

from __future__ import annotations

import os
from pathlib import Path

from ppmm.errors import DataError

__all__ = ["Layout", "is_file"]

SHOWN = 8


class Layout:
    """Where a data set was unpacked.

    Args:
        name: the data set, for messages.
        page: what its download is called, for messages.
        root: the folder.

    Raises:
        DataError: ``root`` is not a folder.
    """

    def __init__(self, name: str, page: str, root: str | Path) -> None:
        self.name = name
        self.page = page
        self.root = Path(root)
        if not self.root.is_dir():
            raise self.error(f"looked for the folder '{self.root}' (from {Path.cwd()}), which does not exist")

    def find(self, *places: str) -> Path | None:
        """The first of ``places`` (below the root) that exists, or None."""
        return next((self.root / place for place in places if (self.root / place).exists()), None)

    def file(self, what: str, *places: str) -> Path:
        """The first of ``places`` that is a file. Raises DataError naming ``what`` it is and every place."""
        for place in places:
            if (self.root / place).is_file():
                return self.root / place
        raise self.missing(what, "file", places)

    def folder(self, what: str, *places: str) -> Path:
        """The first of ``places`` that is a folder; ``""`` is the root. Raises DataError like `file`."""
        for place in places:
            if (self.root / place).is_dir():
                return self.root / place
        raise self.missing(what, "folder", places)

    def missing(self, what: str, kind: str, places: tuple[str, ...]) -> DataError:
        """The error for ``what`` that is in none of ``places``; it lists what the root holds instead."""
        looked = " or ".join(f"'{self.root / place}'" for place in places)
        return self.error(f"no {what}: looked for the {kind} {looked}; '{self.root}' holds {_content(self.root)}")

    def error(self, problem: str) -> DataError:
        """A DataError that names the data set, the problem and the download."""
        return DataError(f"{self.name}: {problem}; unpack the download of '{self.page}' there, or mend root")


def is_file(path: Path) -> bool:
    """Whether a file that a list names is there; a name that no file can have is not an error."""
    return os.path.isfile(path)  # Path.is_file raises for names that are too long


def _content(folder: Path) -> str:
    """The first few entries of a folder, for messages."""
    with os.scandir(folder) as entries:
        names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "nothing"
