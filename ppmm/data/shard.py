"""Any data set -> tar shards, which `ppmm.data.datasets.tar_shards` and WebDataset read."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.data.datasets.tar_shards import KINDS
from ppmm.data.new_folder import new_folder
from ppmm.errors import DataError
from ppmm.modalities.file_source import read_file
from ppmm.types import Dataset, Sample

__all__ = ["write_shards"]

MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"fLaC": "flac", b"OggS": "ogg", b"RIFF": "wav", b"ID3": "mp3"}
MAX_BYTES = 100 * 1024 * 1024


def write_shards(
    rows: Dataset,
    out: Path,
    *,
    name: str = "shard",
    samples: int = 10_000,
    max_bytes: int = 500_000_000,
    note: Callable[[Iterator[int]], Iterator[int]] = lambda numbers: numbers,
) -> int:
    """Write ``out/<name>-000000.tar`` and so on; ``out`` appears complete or not at all.

    Files keep their bytes: the field ``image`` becomes ``<row>.jpg``, another one ``<row>.image_left.jpg``. Everything
    else goes to ``<row>.json``, with the row's id as ``source``.

    Args:
        rows: what to write, in its order (shuffle it first where neighbours are alike).
        out: a new folder.
        name: of the shards.
        samples: most samples of a shard.
        max_bytes: a shard ends with the sample that exceeds it.
        note: wraps the row numbers, for progress.

    Returns:
        The number of shards.

    Raises:
        DataError: a row that cannot be read or stored, or ``out`` in the way.
    """
    shards = 0
    packed: tarfile.TarFile | None = None
    with new_folder(out) as folder:
        try:
            count = size = 0
            for number in note(iter(range(len(rows)))):
                if packed is None or count >= samples or size >= max_bytes:
                    if packed is not None:
                        packed.close()
                    packed = tarfile.open(folder / f"{name}-{shards:06d}.tar", "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
                    shards, count, size = shards + 1, 0, 0
                for suffix, content in _files(rows[number]).items():
                    header = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    header.size = len(content)
                    packed.addfile(header, io.BytesIO(content))
                    size += len(content)
                count += 1
        finally:
            if packed is not None:
                packed.close()
    return shards


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
            if known is None or not field.isidentifier():
                raise DataError(
                    f"{where}: a file of kind '{suffix}' cannot go into a shard; there is {', '.join(KINDS)}"
                )
            files[suffix if field == known else f"{field}.{suffix}"] = content
        elif isinstance(value, np.ndarray | tuple):
            raise DataError(f"{where}: arrays cannot go into a shard; write them to files first")
        else:
            document[field] = value
    return {**files, "json": json.dumps(document).encode()}


def _content(value: Path | bytes, where: str) -> tuple[bytes, str]:
    """Bytes of a file and its suffix; of bytes the suffix that their first ones tell."""
    if isinstance(value, bytes):
        suffix = next((suffix for magic, suffix in MAGIC.items() if value.startswith(magic)), "unknown")
        return value, suffix
    try:
        return read_file(value, "file", MAX_BYTES), value.suffix.lstrip(".").lower()
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
