"""Samples packed in tar files, the layout of WebDataset."""

from __future__ import annotations

import glob
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppmm.data.tar_index import open_index
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["KINDS", "TarShards"]

KINDS = {
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "bmp", "ppm", "tif", "tiff"), "image"),
    **dict.fromkeys(("wav", "flac", "mp3", "ogg"), "audio"),
    "txt": "text",
    "cls": "label",
}
"""Suffix -> the field that it stands for by itself."""
TEXTS = ("txt", "cls", "text", "transcript")
FILE_FIELDS = ("image", "audio")
OPEN_FILES = 64


class _Shard(NamedTuple):
    path: Path
    index: Any
    size: int
    mtime: int


@DATASETS.register("tar_shards")
class TarShards:
    """Files of one base name in a tar are one sample: ``000017.jpg``, ``000017.txt``, ``000017.json``.

    An index of each shard is made once (`ppmm.data.tar_index`), so that any row can be read by its number: order,
    shares of processes and resuming are those of every data set. ``loader.sampler: {name: shuffle_buffer}`` reads
    shards nearly in sequence. The package webdataset reads the same files, but as a stream without positions (no exact
    resume, other batches for another number of workers), and it unpickles ``.pkl`` members: it is not used.

    Args:
        shards: path, or pattern such as ``data/x/train-*.tar``; in sorted order.
        columns: field or target -> suffix (``jpg``; ``jpg;png`` for the first that is there; ``json:caption`` for a key
            of the JSON file). None takes suffixes by their kind (jpg: image, flac: audio, txt: text, cls: label;
            ``image_left.jpg``: image_left) and every key of the JSON file.
        cache: folder for the indexes; None for ``.ppmm_cache`` beside the shards or the user's cache.
        max_bytes: largest file in a shard.
        limit: take only the first so many samples.
        file_fields: the fields of the experiment that are read from files; given by the builder. A JSON file may not
            give them: its text would be taken for the path of a file of this machine.

    Raises:
        ConfigError: a setting out of its range.
        DataError: no shards, or one that is damaged or holds what could write elsewhere.
    """

    def __init__(
        self,
        shards: str,
        columns: dict[str, str] | None = None,
        cache: str | None = None,
        max_bytes: int = 100 * 1024 * 1024,
        limit: int | None = None,
        file_fields: list[str] | None = None,
    ) -> None:
        self.file_fields = frozenset(FILE_FIELDS if file_fields is None else file_fields)
        if max_bytes < 1 or (limit is not None and limit < 1):
            raise ConfigError("max_bytes and limit must be at least 1")
        if columns is not None and "id" in columns:
            raise ConfigError("columns: 'id' is taken by the row's own id; choose another name for the field")
        paths = sorted(Path(path) for path in glob.glob(shards))
        if not paths:
            raise DataError(f"no shards: looked for '{shards}' from {Path.cwd()}; write some with tools/data.py shard")
        self.columns = None if columns is None else {field: _sources(given) for field, given in columns.items()}
        self.shards = []
        starts, self._firsts = [0], []
        for path in paths:
            status = path.stat()
            index = open_index(path, None if cache is None else Path(cache), max_bytes)
            firsts = _firsts(index)
            self.shards.append(_Shard(path, index, status.st_size, status.st_mtime_ns))
            self._firsts.append(firsts)
            starts.append(starts[-1] + len(firsts))
        self._starts = np.asarray(starts, dtype=np.int64)
        self._length = starts[-1] if limit is None else min(limit, starts[-1])
        self._files: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        """Fields and targets of one sample, files as bytes, and ``id``: ``train-000.tar:000017``. Raises DataError."""
        shard, members = self._members(index)
        where = f"{self.shards[shard].path.name}:{members[0]['key']}"
        files = {member["suffix"]: member for member in members}
        sample: Sample = {"id": where}
        document = None
        for field, source, key in self._wanted(files):
            if key is None:
                sample[field] = self._value(shard, files[source], where)
                continue
            if document is None:
                document = _document(self._read(shard, files["json"]), where)
            if field == "*":
                sample.update({name: value for name, value in document.items() if name != "id" and value is not None})
            elif document.get(key) is not None:
                sample[field] = document[key]
        for field in self.file_fields & sample.keys():
            if not isinstance(sample[field], bytes):
                raise DataError(f"{where}.json: '{field}' must be a file in the shard, not {ascii(sample[field])[:60]}")
        return {field: value for field, value in sample.items() if not (isinstance(value, str) and not value.strip())}

    def group_starts(self) -> np.ndarray:
        """First row of each shard."""
        return self._starts[:-1][self._starts[:-1] < self._length]

    def lengths(self, name: str) -> np.ndarray:
        """Bytes of a field's file in each sample, int64 [rows], 0 where it has none; the tars are not read."""
        lengths = np.zeros(self._starts[-1], dtype=np.int64)
        for shard, firsts, start in zip(self.shards, self._firsts, self._starts, strict=False):
            suffixes, sizes = shard.index.column("suffix").to_pylist(), shard.index.column("size").to_numpy()
            owner = np.searchsorted(firsts, np.arange(len(sizes)), side="right") - 1
            for member, suffix in enumerate(suffixes):
                if any(field == name for field, _, key in self._wanted({suffix: {}}) if key is None):
                    lengths[start + owner[member]] = sizes[member]
        return lengths[: self._length]

    def _members(self, index: int) -> tuple[int, list[dict[str, Any]]]:
        index = index + self._length if index < 0 else index
        if not 0 <= index < self._length:
            raise IndexError(f"row {index} of {self._length}")
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        firsts, table = self._firsts[shard], self.shards[shard].index
        row = index - int(self._starts[shard])
        first = int(firsts[row])
        last = int(firsts[row + 1]) if row + 1 < len(firsts) else len(table)
        return shard, table.slice(first, last - first).to_pylist()

    def _wanted(self, files: dict[str, Any]) -> list[tuple[str, str, str | None]]:
        """(field, suffix, key of the JSON file or None) of what a sample has; field ``*`` is every key."""
        if self.columns is None:
            wanted = [(field, suffix, None) for suffix in files if (field := _field(suffix)) is not None]
            return [*([("*", "json", "*")] if "json" in files else []), *wanted]
        found = []
        for field, sources in self.columns.items():
            there = [(field, suffix, key) for suffix, key in sources if suffix in files]
            found += there[:1]
        return found

    def _value(self, shard: int, member: dict[str, Any], where: str) -> Any:
        content = self._read(shard, member)
        if member["suffix"].rpartition(".")[2] not in TEXTS:
            return content
        try:
            return content.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise DataError(f"{where}.{member['suffix']}: not UTF-8 ({error.reason})") from error

    def _read(self, shard: int, member: dict[str, Any]) -> bytes:
        """The bytes of a member; reads at a position, so that forked processes may share the open file."""
        path = self.shards[shard].path
        try:
            content = os.pread(self._file(shard), member["size"], member["offset"])
        except OSError as error:
            raise DataError(f"shard '{path}' cannot be read: {error.strerror or error}") from error
        if len(content) < member["size"]:
            raise DataError(f"shard '{path}' has become shorter since it was opened")
        return content

    def _file(self, shard: int) -> int:
        """Descriptor of an open shard; the least recently used one makes room. Raises DataError, OSError."""
        if shard in self._files:
            self._files.move_to_end(shard)
            return self._files[shard]
        known = self.shards[shard]
        file = os.open(known.path, os.O_RDONLY)
        status = os.fstat(file)
        if (status.st_size, status.st_mtime_ns) != (known.size, known.mtime):
            os.close(file)
            raise DataError(f"shard '{known.path}' has changed since it was opened; start again")
        self._files[shard] = file
        if len(self._files) > OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return file

    def __del__(self) -> None:
        for file in getattr(self, "_files", {}).values():
            os.close(file)


def _firsts(index: Any) -> np.ndarray:
    """Member with which each sample begins, int64 [samples]: where the key is another than that before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = index.column("key").combine_chunks()
    keys = keys.chunk(0) if isinstance(keys, pa.ChunkedArray) else keys
    changes = pc.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.r_[True, changes])


def _sources(given: str) -> list[tuple[str, str | None]]:
    """``jpg;png`` or ``json:caption`` -> [(suffix, key)]. Raises ConfigError."""
    sources: list[tuple[str, str | None]] = []
    for part in given.split(";"):
        suffix, colon, key = part.strip().lstrip(".").partition(":")
        if not suffix or (colon and (suffix.lower() != "json" or not key)):
            raise ConfigError(f"columns: '{given}' must be a suffix (jpg), some (jpg;png), or json:KEY")
        sources.append((suffix.lower(), key if colon else None))
    return sources


def _field(suffix: str) -> str | None:
    """The field that a suffix stands for by itself; None for one that says nothing."""
    name, _, kind = suffix.rpartition(".")
    if kind not in KINDS:
        return None
    return name or KINDS[kind]


def _document(content: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}.json: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"{where}.json: expected one object {{...}}, found {type(document).__name__}")
    return document
