"""Archives from elsewhere -> folders; whatever could write outside the folder or fill the disk is refused."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from ppmm.data.new_folder import new_folder
from ppmm.errors import DataError

__all__ = ["bounded", "safe_name", "unpack"]

RATIO, SMALL = 200, 1 << 28
"""Largest ratio of the unpacked bytes to the archive's; unpacked bytes that are allowed in any case."""
BLOCK = 1 << 18
# The largest piece that tarfile may ask for at once: its headers are small, file contents are copied in BLOCKs.
MAX_READ = 1 << 20
TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar")


class Member(NamedTuple):
    """A regular file (with ``content``) or a directory (None) of an archive."""

    name: str
    content: IO[bytes] | None


def unpack(
    archive: Path,
    out: Path,
    *,
    strip_top: bool = True,
    max_bytes: int = 20 * 2**30,
    max_files: int = 2_000_000,
) -> int:
    """Unpack a .tar.gz, .tgz, .tar or .zip; ``out`` appears complete or not at all.

    Args:
        archive: the file.
        out: folder to make; must not exist or be empty.
        strip_top: where the archive holds a single folder, its content becomes that of ``out``.
        max_bytes: limit on the unpacked size; it is also limited to `RATIO` times that of the archive, which no
            data set reaches and every decompression bomb exceeds.
        max_files: limit on the number of entries.

    Returns:
        The number of files written.

    Raises:
        DataError: not such an archive, damaged, an entry that is a link, a device or points outside, an entry twice,
            more than the limits, or ``out`` in the way.
    """
    archive = Path(archive)
    if not archive.is_file():
        raise DataError(f"archive '{archive}' does not exist or is not a file")
    max_bytes = min(max_bytes, max(SMALL, RATIO * archive.stat().st_size))
    with new_folder(Path(out)) as folder:
        try:
            files = _write_members(_members(archive), folder, max_bytes, max_files)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise DataError(f"archive '{archive}' is damaged or not of its type: {error}") from error
        except OSError as error:
            raise DataError(f"archive '{archive}' cannot be unpacked: {error}") from error
        except DataError as error:
            raise DataError(f"archive '{archive}': {error}") from error
        if strip_top:
            _strip_top(folder)
    return files


def _write_members(members: Iterator[Member], folder: Path, max_bytes: int, max_files: int) -> int:
    """Write members below ``folder``; counts bytes as they come, since headers may lie. Raises DataError."""
    files, budget = 0, max_bytes
    for number, member in enumerate(members, 1):
        if number > max_files:
            raise DataError(f"more than {max_files:,} entries (max_files)")
        target = folder / safe_name(member.name)
        if member.content is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = target.open("xb")
        except FileExistsError as error:
            raise DataError(f"holds '{member.name}' twice") from error
        with file:
            while block := member.content.read(BLOCK):
                budget -= len(block)
                if budget < 0:
                    raise DataError(f"unpacks to more than {max_bytes:,} bytes (max_bytes)")
                file.write(block)
        files += 1
    if files == 0:
        raise DataError("holds no file")
    return files


def safe_name(name: str) -> PurePosixPath:
    """A member's name as a relative path. Raises DataError for what could leave the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
        raise DataError(f"entry {ascii(name)[:80]} would be written outside of the folder")
    return path


def _members(archive: Path) -> Iterator[Member]:
    """Files and directories in the order of the archive. Raises DataError for links, devices and unknown suffixes."""
    name = archive.name.lower()
    if name.endswith(".zip"):
        return _zip_members(archive)
    if name.endswith(TAR_SUFFIXES):
        return _tar_members(archive)
    raise DataError(f"unknown type; give {', '.join((*TAR_SUFFIXES, '.zip'))}")


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            mode = entry.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"entry {ascii(entry.filename)[:80]} is a link or device")
            if entry.is_dir():
                yield Member(entry.filename, None)
                continue
            with packed.open(entry) as content:
                yield Member(entry.filename, content)


def _tar_members(archive: Path) -> Iterator[Member]:
    with _opened(archive) as raw, tarfile.open(fileobj=_Bounded(raw), mode="r:") as packed:  # type: ignore[call-overload]
        for entry in packed:
            packed.members = []  # type: ignore[attr-defined]  # else tarfile keeps a million headers
            if entry.isdir():
                yield Member(entry.name, None)
                continue
            if not entry.isreg():
                raise DataError(f"entry {ascii(entry.name)[:80]} is a link or device")
            content = packed.extractfile(entry)
            assert content is not None
            yield Member(entry.name, content)


@contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    """The bytes of the tar inside its compression."""
    with archive.open("rb") as file:
        if archive.name.lower().endswith(".tar"):
            yield file
        else:
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield unzipped  # type: ignore[misc]


def bounded(raw: IO[bytes]) -> IO[bytes]:
    """``raw`` for tarfile, with reads of sane sizes only."""
    return _Bounded(raw)  # type: ignore[return-value]


class _Bounded:
    """A reader that refuses huge reads: a tar header may announce a name of gigabytes."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ:
            raise DataError("holds a header of impossible size")
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()


def _strip_top(folder: Path) -> None:
    """Where ``folder`` holds a single folder, let that one take its place."""
    top = list(folder.iterdir())
    if len(top) == 1 and top[0].is_dir():
        lifted = top[0].rename(folder.with_name(f"{folder.name}.top"))
        folder.rmdir()
        lifted.rename(folder)
