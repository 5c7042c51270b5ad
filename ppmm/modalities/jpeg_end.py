"""JPEG files that were cut and closed again: they have an end marker, and decoders fill what is missing in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

__all__ = ["jpeg_lacks_data"]

MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
HUFFMAN, FRAME, PROGRESSIVE, SCAN, END = 0xC4, (0xC0, 0xC1), 0xC2, 0xDA, 0xD9
MIDDLE = 128
"""Grey level that libjpeg gives to blocks without data: all coefficients are 0."""
COEFFICIENTS = 64
TAIL = 4096
"""Bytes of the scan that are compared; the pattern of a grey block has a few dozen bits."""


class _Component(NamedTuple):
    across: int
    down: int


class _Segment(NamedTuple):
    marker: int
    start: int
    stop: int


def jpeg_lacks_data(data: bytes, pixels: np.ndarray) -> bool:
    """Whether a JPEG that was decoded to ``pixels`` ends before its last block.

    Sequential files: libjpeg leaves blocks without data at middle grey. Where a corner of the picture has that
    colour, the data must end with the code of a grey block (ITU T.81, F.1.2: DC difference 0, end of block) for each
    block of the last unit; if not, it ends too early. Progressive files: every coefficient of every component must
    have been sent to its last bit (G.1.1); a cut within the last scan is not noticed here, it lacks fine detail only.

    Args:
        data: the file, with an end marker.
        pixels: uint8 [H, W] or [H, W, 3], upright.
    """
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].reshape(4, -1)
    grey = bool((corners == MIDDLE).all(axis=1).any())
    frame = next((one for one in _segments(data) if one.marker in (*FRAME, PROGRESSIVE)), None)
    if frame is None or (frame.marker != PROGRESSIVE and not grey):
        return False
    try:
        components = _components(data[frame.start : frame.stop])
        if frame.marker == PROGRESSIVE:
            return not _all_sent(data, components)
        return _ends_in_grey(data, components) and not _ends_with_grey_code(data, components)
    except (IndexError, KeyError, ValueError):  # a header that libjpeg reads and this does not: it is not judged
        return False


def _segments(data: bytes) -> Iterator[_Segment]:
    """Marker segments of the first picture, without length bytes; of a scan its header."""
    position = 2
    while (found := MARKER.search(data, position)) is not None:
        marker, position = data[found.start() + 1], found.end()
        if marker == END:
            yield _Segment(marker, found.start(), found.start())
            return
        if marker in (0x01, 0xD8):
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        yield _Segment(marker, position + 2, position + length)
        position += max(2, length)


def _components(header: bytes) -> dict[int, _Component]:
    """Sampling factors by component of a frame header (B.2.2), in their order."""
    entries = [header[place : place + 3] for place in range(6, 6 + 3 * header[5], 3)]
    return {entry[0]: _Component(entry[1] >> 4, entry[1] & 15) for entry in entries}


def _all_sent(data: bytes, components: dict[int, _Component]) -> bool:
    """Whether each coefficient of each component came with its last bit (Al = 0) in some scan."""
    missing = {component: set(range(COEFFICIENTS)) for component in components}
    for segment in _segments(data):
        if segment.marker != SCAN:
            continue
        header = data[segment.start : segment.stop]
        first, last, bits = header[-3:]
        if bits & 15 == 0:
            for place in range(header[0]):
                missing[header[1 + 2 * place]] -= set(range(first, last + 1))
    return not any(missing.values())


def _ends_in_grey(data: bytes, components: dict[int, _Component]) -> bool:
    """Whether the last two units of the picture, as it is stored, are middle grey."""
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    single = len(components) == 1
    width = 8 * (1 if single else max(one.across for one in components.values()))
    height = 8 * (1 if single else max(one.down for one in components.values()))
    across, down = -(-pixels.shape[1] // width), -(-pixels.shape[0] // height)
    if across * down < 2:
        return False
    # The colour of two pixels at the border of a unit is mixed with its neighbours'.
    if across > 1:
        part = pixels[(down - 1) * height + 2 * (down > 1) :, (across - 2) * width + 2 * (across > 2) :]
    else:
        part = pixels[(down - 2) * height + 2 * (down > 2) :]
    return part.size > 0 and bool((part == MIDDLE).all())


def _ends_with_grey_code(data: bytes, components: dict[int, _Component]) -> bool:
    """Whether the entropy-coded data ends with the code of one unit of grey blocks after a grey one."""
    tables: dict[int, dict[int, str]] = {}
    scan = end = None
    for segment in _segments(data):
        if segment.marker == HUFFMAN:
            tables.update(_tables(data[segment.start : segment.stop]))
        scan, end = (segment, end) if segment.marker == SCAN else (scan, segment.start)
    if scan is None or end is None:
        return True
    header = data[scan.start : scan.stop]
    code = ""
    for place in range(header[0]):
        component, table = header[1 + 2 * place], header[2 + 2 * place]
        blocks = 1 if header[0] == 1 else components[component].across * components[component].down
        code += (tables[table >> 4][0] + tables[16 + (table & 15)][0]) * blocks
    tail = RESTART.split(data[max(scan.stop, end - TAIL) : end])[-1].replace(b"\xff\x00", b"\xff")
    bits = "".join(f"{byte:08b}" for byte in tail)
    return any(bits[: len(bits) - padding].endswith(code) for padding in range(8))


def _tables(content: bytes) -> dict[int, dict[int, str]]:
    """Huffman tables of a segment: class and number -> symbol -> code as text of 0 and 1 (C.2)."""
    tables = {}
    position = 0
    while position < len(content):
        name, counts = content[position], content[position + 1 : position + 17]
        position += 17
        codes: dict[int, str] = {}
        code = 0
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                codes[content[position]] = f"{code:0{length}b}"
                position, code = position + 1, code + 1
            code <<= 1
        tables[name] = codes
    return tables
