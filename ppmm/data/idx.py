"""The IDX files of MNIST and its relatives, packed with gzip or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ppmm.errors import DataError

__all__ = ["read_idx"]

UNSIGNED_BYTE = 0x08
MAX_BYTES = 1 << 30


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """A file of unsigned bytes: two zero bytes, type 0x08, the number of dimensions, their sizes as big-endian uint32.

    Returns:
        uint8 array of ``dimensions`` dimensions.

    Raises:
        DataError: damaged, of another type or shape, more than a gigabyte.
    """
    start = 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(start)
            if len(head) < start or head[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
                raise DataError(
                    f"'{path}' is no IDX file of bytes with {dimensions} dimensions: it begins with "
                    f"{head[:4].hex(' ')}, expected 00 00 08 {dimensions:02x}"
                )
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", dimensions, 4))
            count = math.prod(shape)
            if count > MAX_BYTES:
                raise DataError(f"'{path}' states the shape {list(shape)}: more than {MAX_BYTES:,} bytes")
            content = file.read(count + 1)  # what a bomb has beyond its header is not unpacked
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error
    if len(content) != count:
        held = f"{len(content):,}" if len(content) < count else "more"
        raise DataError(f"'{path}' states the shape {list(shape)}, but holds {held} values")
    return np.frombuffer(content, np.uint8).reshape(shape)
