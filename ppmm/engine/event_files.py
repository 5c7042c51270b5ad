"""Points of a run over its steps, in the files of VisualDL or TensorBoard; a resumed run writes none twice."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from ppmm.errors import PpmmError

__all__ = ["EventWriter", "open_events"]

VISUALDL_FILE = "vdlrecords.0000000000.log"
BINS = 50


class EventWriter(Protocol):
    """Where points go; ``tag`` is a path such as ``train/loss``."""

    def scalar(self, tag: str, value: float, step: int) -> None: ...

    def image(self, tag: str, picture: np.ndarray, step: int) -> None:
        """``picture``: uint8 [height, width, 3]."""

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """``values``: finite, of any shape, at least one."""

    def flush(self) -> None: ...

    def close(self) -> None: ...


def open_events(
    kind: Literal["visualdl", "tensorboard"], folder: Path, step: int
) -> tuple[EventWriter, frozenset[str]]:
    """A writer into ``folder``, from which every point after ``step`` is removed first.

    Returns: the writer, and the tags that have a point at ``step`` itself.

    Raises PpmmError when the library is missing.
    """
    open_writer = {"visualdl": _visualdl, "tensorboard": _tensorboard}[kind]
    try:
        return open_writer(folder, step)
    except ImportError as error:
        library = {"visualdl": "visualdl==2.5.3", "tensorboard": "tensorboardX"}[kind]
        raise PpmmError(f"hooks: scalars with writer: {kind} needs {library}: pip install {library}") from error


class _VisualDL:
    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def scalar(self, tag: str, value: float, step: int) -> None:
        self.writer.add_scalar(_plain(tag), value, step)

    def image(self, tag: str, picture: np.ndarray, step: int) -> None:
        self.writer.add_image(_plain(tag), picture, step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        self.writer.add_histogram(_plain(tag), values.ravel(), step, buckets=BINS)

    def flush(self) -> None:
        self.writer._get_file_writer().flush()

    def close(self) -> None:
        self.writer.close()


class _TensorBoard:
    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def scalar(self, tag: str, value: float, step: int) -> None:
        self.writer.add_scalar(tag, value, step)

    def image(self, tag: str, picture: np.ndarray, step: int) -> None:
        self.writer.add_image(tag, picture, step, dataformats="HWC")

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        self.writer.add_histogram(tag, values.ravel(), step, bins=BINS)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def _plain(tag: str) -> str:
    """VisualDL refuses a percent sign."""
    return tag.replace("%", "_")


class _Record(NamedTuple):
    """One record as it stands in a file, with what it says."""

    raw: bytes
    step: int
    tags: tuple[str, ...]


def _visualdl(folder: Path, step: int) -> tuple[EventWriter, frozenset[str]]:
    """VisualDL shows one file of a folder only, so that a resumed run goes on in it."""
    from visualdl import LogWriter
    from visualdl.proto import record_pb2

    def parse(body: bytes) -> tuple[int, tuple[str, ...]]:
        values = record_pb2.Record.FromString(body).values
        return max((value.id for value in values), default=0), tuple(value.tag for value in values)

    old = sorted(folder.glob("*vdlrecords*"))
    kept = [record for path in old for record in _records(path, 8, 0, parse) if record.step <= step]
    if old:
        _write(folder / VISUALDL_FILE, kept)
        for path in old:
            if path.name != VISUALDL_FILE:
                path.unlink()
    with contextlib.redirect_stdout(io.StringIO()):  # it tells that the file exists
        writer = LogWriter(str(folder), file_name=VISUALDL_FILE)
    return _VisualDL(writer), _tags_at(kept, step)


def _tensorboard(folder: Path, step: int) -> tuple[EventWriter, frozenset[str]]:
    """TensorBoard joins all files of a folder."""
    from tensorboardX import SummaryWriter
    from tensorboardX.proto import event_pb2

    def parse(body: bytes) -> tuple[int, tuple[str, ...]]:
        event = event_pb2.Event.FromString(body)
        return event.step, tuple(value.tag for value in event.summary.value)

    kept: list[_Record] = []
    old = sorted(folder.glob("*tfevents*"))
    for path in old:
        good = [record for record in _records(path, 12, 4, parse) if record.step <= step]
        _write(path, good)
        kept += good
    # Names have the second in them: two files of one second must differ.
    return _TensorBoard(SummaryWriter(str(folder), filename_suffix=f".{len(old)}")), _tags_at(kept, step)


def _records(
    path: Path, head: int, tail: int, parse: Callable[[bytes], tuple[int, tuple[str, ...]]]
) -> Iterator[_Record]:
    """The records of a file up to one that a kill has cut.

    Each is ``head`` bytes that begin with the length of its body (uint64, little-endian), the body, ``tail`` bytes.
    """
    content = path.read_bytes()
    at = 0
    while at + head <= len(content):
        size = struct.unpack_from("<Q", content, at)[0]
        end = at + head + size + tail
        if end > len(content):
            return
        yield _Record(content[at:end], *parse(content[at + head : at + head + size]))
        at = end


def _write(path: Path, records: list[_Record]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(b"".join(record.raw for record in records))
    os.replace(temporary, path)


def _tags_at(records: list[_Record], step: int) -> frozenset[str]:
    return frozenset(tag for record in records if record.step == step for tag in record.tags)
