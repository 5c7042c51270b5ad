"""Any data set -> tar shards, which `ppmm.data.datasets.tar_shards` and WebDataset read."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppmm.data.curate.work import Engine
from ppmm.data.datasets.tar_shards import KINDS
from ppmm.data.new_folder import new_folder
from ppmm.errors import ConfigError, DataError
from ppmm.modalities.file_source import read_file
from ppmm.types import Dataset, Sample

__all__ = ["write_piece", "write_shards"]

MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"fLaC": "flac", b"OggS": "ogg", b"RIFF": "wav", b"ID3": "mp3"}
MAX_BYTES = 100 * 1024 * 1024


class Piece(NamedTuple):
    """Rows ``start`` to ``stop`` of a data set, to be written to shards ``folder/.<number>-<0 ...>.tar``."""

    source: Callable[[], Dataset]
    folder: Path
    number: int
    start: int
    stop: int
    max_bytes: int


def write_shards(
    rows: Dataset,
    out: Path,
    *,
    name: str = "shard",
    samples: int = 10_000,
    max_bytes: int = 500_000_000,
    note: Callable[[Iterator[Any], int], Iterator[Any]] = lambda items, total: items,
    engine: Engine | None = None,
    source: Callable[[], Dataset] | None = None,
) -> int:
    """Write ``out/<name>-000000.tar`` and so on; ``out`` appears complete or not at all.

    Files keep their bytes: the field ``image`` becomes ``<row>.jpg``, another one ``<row>.image_left.jpg``. Everything
    else goes to ``<row>.json``, with the row's id as ``source``. The shards are the same with and without an engine.

    Args:
        rows: what to write, in its order (shuffle it first where neighbours are alike).
        out: a new folder; with an engine of several machines, one that all of them see.
        name: of the shards.
        samples: a shard ends at every so many rows.
        max_bytes: and with the sample that exceeds this.
        note: wraps what is counted (rows, or pieces of work with an engine) and its number, for progress.
        engine: who writes; None for this process.
        source: importable, opens ``rows`` elsewhere; needed with an engine.

    Returns:
        The number of shards.

    Raises:
        ConfigError: ``samples`` or ``max_bytes`` below 1.
        DataError: a row that cannot be read or stored, or ``out`` in the way.
    """
    if samples < 1 or max_bytes < 1:
        raise ConfigError("samples and max_bytes must be at least 1")
    stops = [(start, min(start + samples, len(rows))) for start in range(0, len(rows), samples)]
    with new_folder(out) as folder:
        counts: dict[int, int] = {}
        if engine is None:
            numbers = note(iter(range(len(rows))), len(rows))
            for piece, (start, stop) in enumerate(stops):
                counts[piece] = _write_stretch(rows, islice(numbers, stop - start), folder, piece, max_bytes)
            next(numbers, None)  # the progress has its end
        else:
            assert source is not None
            pieces = [Piece(source, folder, number, *ends, max_bytes) for number, ends in enumerate(stops)]
            counts.update(note(engine.map(write_piece, pieces), len(pieces)))
        parts = [(number, part) for number in range(len(stops)) for part in range(counts[number])]
        for shard, (number, part) in enumerate(parts):
            _part(folder, number, part).replace(folder / f"{name}-{shard:06d}.tar")
    return len(parts)


def write_piece(piece: Piece) -> int:
    """What a worker does; returns the number of shards. Done again after a worker's death, it writes the same files."""
    numbers = iter(range(piece.start, piece.stop))
    return _write_stretch(piece.source(), numbers, piece.folder, piece.number, piece.max_bytes)


def _write_stretch(rows: Dataset, numbers: Iterator[int], folder: Path, piece: int, max_bytes: int) -> int:
    """Write consecutive rows; returns the number of shards."""
    shards = size = 0
    packed: tarfile.TarFile | None = None
    try:
        for number in numbers:
            if packed is None or size >= max_bytes:
                if packed is not None:
                    packed.close()
                packed = tarfile.open(_part(folder, piece, shards), "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
                shards, size = shards + 1, 0
            for suffix, content in _files(rows[number]).items():
                header = tarfile.TarInfo(f"{number:09d}.{suffix}")
                header.size = len(content)
                packed.addfile(header, io.BytesIO(content))
                size += len(content)
    except OSError as error:
        raise DataError(f"shards cannot be written to '{folder}': {error.strerror or error}") from error
    finally:
        if packed is not None:
            packed.close()
    return shards


def _part(folder: Path, piece: int, part: int) -> Path:
    return folder / f".{piece:06d}-{part:06d}.tar"


def _files(sample: Sample) -> Mapping[str, bytes]:
    """Suffix -> content, the JSON file last. Raises DataError."""
    files: dict[str, bytes] = {}
    document: dict[str, Any] = {"source": sample["id"]}
    for field, value in sample.items():
        where = f"{sample['id']} {field}"
        if field == "id":
            continue
        if isinstance(value, Path | bytes):
            content, suffix = _content(value, where)
            known = KINDS.get(suffix)
            if known is None:
                raise DataError(
                    f"{where}: a file of kind '{suffix}' cannot go into a shard; there is {', '.join(KINDS)}"
                )
            if not field.isidentifier() or field != field.lower():
                raise DataError(f"{where}: the field becomes part of a file's name; take small letters, digits and _")
            files[suffix if field == known else f"{field}.{suffix}"] = content
        elif isinstance(value, np.ndarray | tuple):
            raise DataError(f"{where}: arrays cannot go into a shard; write them to files first")
        else:
            document[field] = value
    try:
        return {**files, "json": json.dumps(document).encode()}
    except (TypeError, ValueError) as error:
        raise DataError(f"{sample['id']}: a value cannot go into a shard: {error}") from error


def _content(value: Path | bytes, where: str) -> tuple[bytes, str]:
    """Bytes of a file and its suffix; of bytes the suffix that their first ones tell."""
    if isinstance(value, bytes):
        suffix = next((suffix for magic, suffix in MAGIC.items() if value.startswith(magic)), "unknown")
        return value, suffix
    try:
        return read_file(value, "file", MAX_BYTES), value.suffix.lstrip(".").lower()
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
