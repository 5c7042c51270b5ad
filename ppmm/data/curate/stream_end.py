"""Whether an OGG or MP3 file has its end: decoders play what is there of a cut one without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["stream_is_cut"]

PAGE = 27 + 255 + 255 * 255
"""Bytes of the largest page (RFC 3533, section 6)."""
LAST_PAGE = 0x04
HEAD = 1 << 16
SPARE = 1441
"""Bytes that an MP3 may lack before it counts as cut: the longest frame. Not all writers count their header."""


def stream_is_cut(value: Any) -> bool:
    """Whether a file (Path or bytes) ends before its stream does; False for formats other than these two.

    OGG: the last page must be whole and marked as the stream's last. MP3: the Xing header, where there is one, states
    the bytes of the stream. Raises OSError.
    """
    head, tail, size = _ends(value)
    if head.startswith(b"OggS"):
        return _ogg_is_cut(tail)
    return _mp3_is_cut(head, size)


def _ends(value: Any) -> tuple[bytes, bytes, int]:
    """First and last bytes, and the number of all."""
    if not isinstance(value, Path):
        data = bytes(value)
        return data[:HEAD], data[-PAGE:], len(data)
    with value.open("rb") as file:
        head = file.read(HEAD)
        size = file.seek(0, 2)
        file.seek(max(0, size - PAGE))
        return head, file.read(PAGE), size


def _ogg_is_cut(tail: bytes) -> bool:
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27:
        return True
    segments = page[26]
    return not page[5] & LAST_PAGE or len(page) < 27 + segments + sum(page[27 : 27 + segments])


def _mp3_is_cut(head: bytes, size: int) -> bool:
    start = 0
    if head.startswith(b"ID3") and len(head) >= 10:  # its length has 7 bits in each byte
        start = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    if head[start : start + 1] != b"\xff":
        return False
    frame = head[start : start + 64]
    mark = max(frame.find(b"Xing"), frame.find(b"Info"))
    if mark < 0:
        return False
    fields = head[start + mark + 4 : start + mark + 16]
    flags = int.from_bytes(fields[:4], "big")
    place = 8 if flags & 1 else 4
    announced = int.from_bytes(fields[place : place + 4], "big")
    return bool(flags & 2) and len(fields) == 12 and size - start < announced - SPARE
