"""One image, looked at: format, size, damage, content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ppmm.data.curate.decoder_warnings import decoder_warnings
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.measured import Measured
from ppmm.errors import DataError
from ppmm.modalities.image_file import FORMATS, decode_image, jpeg_is_complete

__all__ = ["ends_early", "image_format", "measure_image"]

MAX_BYTES = 1 << 30
SAME = 2
"""Largest spread of a channel's values, of 255, in an image of one colour."""
EXTENSIONS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".bmp": "BMP", ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
}  # fmt: skip


def measure_image(value: Any, limits: Limits) -> Measured:
    """Facts (bytes, format, width, height, channels) and problems of a path, bytes or uint8 array."""
    measured = Measured()
    if isinstance(value, np.ndarray):
        return _judge_pixels(value, limits, measured)
    data = _read(value, measured)
    if data is None:
        return measured
    kind = image_format(data)
    measured.facts.update(bytes=len(data), format=kind)
    if kind is None:
        found = "a GIF, " if data.startswith(b"GIF8") else ""
        return measured.problem("unreadable", f"{found}not one of {', '.join(FORMATS)}")
    if isinstance(value, Path):
        claimed = EXTENSIONS.get(value.suffix.lower())
        if claimed != ("JPEG" if kind == "MPO" else kind):
            measured.problem("wrong_extension", f"the content is {kind}, the suffix '{value.suffix}'")
    try:
        with decoder_warnings() as said:
            pixels = decode_image(data, str(value) if isinstance(value, Path) else "in the cell", limits.max_pixels)
            if kind in ("JPEG", "MPO"):  # OpenCV's libjpeg says aloud what Pillow's keeps to itself
                cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_ANYCOLOR)
    except DataError as error:
        return measured.problem(_why(data, kind, str(error)), str(error))
    for line in said:
        # Bytes too many between markers are harmless, and frequent.
        if line.startswith("Corrupt JPEG data") and "extraneous" not in line:
            return measured.problem("truncated" if "premature end" in line else "unreadable", line)
    return _judge_pixels(pixels, limits, measured)


def image_format(data: bytes) -> str | None:
    """Pillow's name of the format, None where it is none that ppmm reads."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=(*FORMATS, "MPO")) as image:
            return str(image.format)
    except Image.DecompressionBombError:
        return "PNG" if data[:4] == b"\x89PNG" else "JPEG" if data[:2] == b"\xff\xd8" else "TIFF"
    except Exception:  # Pillow's parsers raise nearly any type on damaged bytes
        return None


def ends_early(data: bytes, kind: str) -> bool:
    """Whether a file of this format lacks its end, as the format's own structure tells.

    PNG: an IEND chunk; JPEG: an EOI marker; WEBP: the RIFF length; BMP: the length in the header.
    """
    if kind in ("JPEG", "MPO"):
        return not jpeg_is_complete(data)
    if kind == "PNG":
        return b"IEND" not in data[-64:] and b"IEND" not in data
    if kind == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if kind == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    return False


def _read(value: Any, measured: Measured) -> bytes | None:
    """The bytes of an encoded image, or None with the problem noted."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
    elif isinstance(value, Path):
        try:
            if value.stat().st_size > MAX_BYTES:
                measured.problem("too_large", f"more than {MAX_BYTES:,} bytes")
                return None
            data = value.read_bytes()
        except FileNotFoundError:
            measured.problem("missing", f"{value} does not exist")
            return None
        except (OSError, ValueError) as error:
            measured.problem("unreadable", f"{value} cannot be opened: {error}")
            return None
    else:
        measured.problem("unreadable", f"expected the path of an image, found {type(value).__name__}")
        return None
    if not data:
        measured.problem("zero_size", "0 bytes")
        return None
    return data


def _why(data: bytes, kind: str, message: str) -> str:
    """The kind of problem behind a decoder's refusal."""
    if "max_pixels" in message or "too many pixels" in message:
        return "too_large"
    return "truncated" if ends_early(data, kind) or "truncated" in message.split(":")[-1] else "unreadable"


def _judge_pixels(pixels: np.ndarray, limits: Limits, measured: Measured) -> Measured:
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else int(pixels.shape[2])
    measured.facts.update(width=int(width), height=int(height), channels=channels)
    if min(height, width) < limits.min_side:
        measured.problem("too_small", f"{width} x {height} pixels; at least {limits.min_side} on each side")
    flat = pixels.reshape(-1, channels)
    spread = int((flat.max(axis=0).astype(int) - flat.min(axis=0)).max())
    if spread <= SAME:
        measured.problem("single_colour", f"every pixel is {flat[0].tolist()}")
    return measured
