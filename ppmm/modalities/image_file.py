"""Encoded image -> RGB or grey pixels. The header is judged before a pixel is decoded; damaged files are refused."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np

from ppmm.errors import DataError
from ppmm.modalities.jpeg_end import jpeg_lacks_data

__all__ = ["decode_image", "jpeg_is_complete"]

# What both Pillow (header) and OpenCV (pixels) read. MPO is a JPEG with further pictures behind the first.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
JPEG_FORMATS = ("JPEG", "MPO")
EXIF_ORIENTATION = 0x0112
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def decode_image(data: bytes, where: str, max_pixels: int) -> np.ndarray:
    """Decode an image file held in memory.

    EXIF orientation is applied, alpha is blended over white, 16-bit samples are scaled to 8 bits.

    Args:
        data: the whole file.
        where: path or description, for messages.
        max_pixels: limit on width x height as the header states them.

    Returns:
        uint8 [H, W] (grey) or [H, W, 3] (RGB).

    Raises:
        DataError: not an image, an unknown format, too many pixels, truncated or damaged.
    """
    kind, orientation = _check_header(data, where, max_pixels)
    # Only JPEG decodes with OpenCV's own EXIF handling: elsewhere IMREAD_UNCHANGED is needed to see alpha.
    flags = cv2.IMREAD_ANYCOLOR if kind in JPEG_FORMATS else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise DataError(f"image {where} cannot be decoded: {error.err}") from error
    if pixels is None:
        raise DataError(f"image {where} cannot be decoded: its {kind} data is damaged")
    pixels = np.ascontiguousarray(_orient(_to_rgb8(pixels, where), orientation))
    if kind in JPEG_FORMATS and jpeg_lacks_data(data, pixels):
        raise DataError(f"image {where} is truncated: its JPEG data ends before the picture does")
    return pixels


def _check_header(data: bytes, where: str, max_pixels: int) -> tuple[str, int]:
    """Format and EXIF orientation (1 where OpenCV applies it by itself). Raises DataError."""
    from PIL import Image

    if not data:
        raise DataError(f"image {where} is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            kind, (width, height) = str(image.format), image.size
            if width * height > max_pixels:
                raise DataError(
                    f"image {where} has {width} x {height} = {width * height:,} pixels; "
                    f"at most {max_pixels:,} (max_pixels)"
                )
            # getexif() of a PNG without EXIF would decode its pixels in search of it.
            orientation = image.getexif().get(EXIF_ORIENTATION, 1) if "exif" in image.info else 1
            if kind == "PNG":
                image.verify()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = re.search(r"\((\d+) pixels\)", str(error))
        count = f"{int(size.group(1)):,} pixels" if size else "too many pixels"
        raise DataError(
            f"image {where} claims {count} in its header: too many pixels, at most {max_pixels:,} are read"
        ) from error
    except Image.UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        if data.startswith((b"GIF87a", b"GIF89a")):
            raise DataError(f"image {where} is a GIF, which may move; convert it to one of {known}") from error
        raise DataError(f"image {where} is not an image that ppmm reads ({known})") from error
    except DataError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly any type on damaged bytes
        raise DataError(f"image {where} is truncated or damaged: {error}") from error
    if kind in JPEG_FORMATS and not jpeg_is_complete(data):
        raise DataError(f"image {where} is truncated: its JPEG data has no end marker")
    return kind, orientation if kind in ("PNG", "WEBP") and isinstance(orientation, int) else 1


def jpeg_is_complete(data: bytes) -> bool:
    """Whether the main picture of a JPEG reaches its EOI marker; a thumbnail's own EOI does not count."""
    position = 2
    while True:
        found = JPEG_MARKER.search(data, position)
        if found is None:
            return False
        marker, position = data[found.start() + 1], found.end()
        if marker == 0xD9:
            return True
        if marker in (0x01, 0xD8):  # markers without a length
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            return False
        position += length


def _to_rgb8(pixels: np.ndarray, where: str) -> np.ndarray:
    """OpenCV's BGR(A) or grey, 8 or 16 bits -> uint8 [H,W] or RGB [H,W,3]. Raises DataError."""
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1.0 / 257.0)
    elif pixels.dtype != np.uint8:
        raise DataError(f"image {where} holds {pixels.dtype} samples; convert it to 8 or 16 bits per channel")
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # ten times as fast as a reversed view made contiguous
    if channels == 4:
        return _blend_over_white(pixels)
    raise DataError(f"image {where} has {channels} channels; ppmm reads grey, RGB and RGBA")


def _blend_over_white(pixels: np.ndarray) -> np.ndarray:
    """BGRA uint8 [H,W,4] -> RGB uint8 [H,W,3]."""
    colour, alpha = pixels[:, :, 2::-1].astype(np.float32), pixels[:, :, 3:].astype(np.float32) / 255.0
    return np.rint(colour * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)


def _orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the EXIF orientation 1..8 (CIPA DC-008, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
