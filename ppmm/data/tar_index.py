"""Where the members of a tar file are, so that any sample of a shard can be read without unpacking."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ppmm.data.cache import cached, import_arrow
from ppmm.data.unpack import bounded, safe_name
from ppmm.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Entry", "open_index", "shard_entries"]

VERSION = 1
MAX_NAME = 4096


class Entry(NamedTuple):
    """A file in a shard: the sample that it belongs to, its suffix in lower case, first byte and size."""

    key: str
    suffix: str
    offset: int
    size: int


def open_index(shard: Path, cache: Path | None, max_bytes: int) -> pa.Table:
    """Columns ``key``, ``suffix``, ``offset``, ``size`` of a shard's members, in its order, memory-mapped.

    Made once by a walk over the headers and found again by the shard's path, size and time of change.

    Raises:
        DataError: no tar file, damaged, truncated, a member that is a link or leads out, or an unsafe size.
    """
    pa = import_arrow()
    try:
        status = shard.stat()
    except OSError as error:
        raise DataError(f"shard '{shard}' cannot be read: {error.strerror or error}") from error
    facts = f"{shard.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{max_bytes}"
    name = f"{shard.name}-{hashlib.sha256(facts.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.v{VERSION}.arrow"

    def make(file: IO[bytes]) -> None:
        entries = list(shard_entries(shard, max_bytes))
        if not entries:
            raise DataError(f"shard '{shard}' holds no samples")
        columns = list(zip(*entries, strict=True))
        types = [pa.large_string(), pa.large_string(), pa.int64(), pa.int64()]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        table = pa.table(arrays, names=list(Entry._fields))
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def read(path: Path) -> Any:
        try:
            return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (pa.ArrowInvalid, OSError):
            return None

    return cached(shard, name, cache, make, read)


def shard_entries(shard: Path, max_bytes: int) -> Iterator[Entry]:
    """The files of a plain tar, those of one sample together.

    A sample is named by the path up to the first dot of the file name, its files differ in what follows (the layout of
    WebDataset). Hidden files are passed over.

    Args:
        shard: the tar.
        max_bytes: largest file in it.

    Raises:
        DataError: see `open_index`; two files of one name; a sample whose files do not stand together.
    """
    size = shard.stat().st_size
    seen: set[str] = set()
    key = ""
    suffixes: set[str] = set()
    try:
        with shard.open("rb") as file, tarfile.open(fileobj=bounded(file), mode="r:") as packed:
            for member in packed:
                packed.members = []  # type: ignore[attr-defined]  # else tarfile keeps a million headers
                entry = _entry(shard, member, size, max_bytes)
                if entry is None:
                    continue
                if entry.key != key:
                    if entry.key in seen:
                        raise DataError(
                            f"shard '{shard}': the files of sample {entry.key!a} do not stand together; "
                            "write it with its names sorted (tar --sort=name)"
                        )
                    key, suffixes = entry.key, set()
                    seen.add(key)
                if entry.suffix in suffixes:
                    raise DataError(f"shard '{shard}' holds {ascii(member.name)[:80]} twice")
                suffixes.add(entry.suffix)
                yield entry
            file.seek(packed.offset)  # type: ignore[attr-defined]
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes any damaged header for the end
                raise DataError(f"shard '{shard}' is damaged at byte {packed.offset:,}")  # type: ignore[attr-defined]
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise DataError(f"shard '{shard}' is damaged or not a plain .tar (unpack .tar.gz first): {error}") from error
    except OSError as error:
        raise DataError(f"shard '{shard}' cannot be read: {error}") from error


def _entry(shard: Path, member: tarfile.TarInfo, size: int, max_bytes: int) -> Entry | None:
    """None for folders and hidden files. Raises DataError for what no shard may hold."""
    shown = ascii(member.name)[:80]
    try:
        path = safe_name(member.name)
    except DataError as error:
        raise DataError(f"shard '{shard}': {error}") from error
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        raise DataError(f"shard '{shard}': entry {shown} is a link, a device or sparse")
    if len(member.name) > MAX_NAME:
        raise DataError(f"shard '{shard}': the name of entry {shown} has {len(member.name):,} characters")
    if not 0 <= member.size <= max_bytes:
        raise DataError(f"shard '{shard}': entry {shown} has {member.size:,} bytes; at most {max_bytes:,} (max_bytes)")
    if member.offset_data + member.size > size:
        raise DataError(f"shard '{shard}' is truncated in entry {shown}")
    stem, _, suffix = path.name.partition(".")
    if not stem or not suffix:
        return None
    try:
        key = path.with_name(stem).as_posix()
        key.encode("utf-8")
        suffix.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"shard '{shard}': the name of entry {shown} is not UTF-8") from error
    return Entry(key, suffix.lower(), member.offset_data, member.size)
