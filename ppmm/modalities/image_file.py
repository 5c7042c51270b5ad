"""Encoded image -> RGB or grey pixels. The header is judged before a pixel is decoded; damaged files are refused."""

from __future__ import annotations

import io
import re
from typing import Any

import cv2
import numpy as np

from ppmm.errors import DataError
from ppmm.modalities.jpeg_end import jpeg_lacks_data

__all__ = ["EncodedImage", "decode_image", "jpeg_is_complete"]

# What both Pillow (header) and OpenCV (pixels) read. MPO is a JPEG with further pictures behind the first.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
JPEG_FORMATS = ("JPEG", "MPO")
TURNED_HERE = ("PNG", "WEBP", *JPEG_FORMATS)
"""Formats whose EXIF orientation Pillow and OpenCV leave to us, as they are called here."""
# JPEG of these modes is decoded by Pillow: the same pixels to the last bit (tests/modalities/test_image_decode.py), but
# its wheels have the vector code of libjpeg-turbo, which those of OpenCV up to 4.6 lack: half the time.
PILLOW_MODES = ("L", "RGB")
EXIF_ORIENTATION = 0x0112
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
JPEG_END = b"\xff\xd9"


class EncodedImage:
    """An image file held in memory whose header has been judged; its pixels are decoded when asked for.

    Args:
        data: the whole file.
        where: path or description, for messages.
        max_pixels: limit on width x height as the header states them.

    Raises:
        DataError: not an image, an unknown format, too many pixels, a damaged header.
    """

    def __init__(self, data: bytes, where: str, max_pixels: int) -> None:
        self._data = data
        self._where = where
        self._image = _open_header(data, where, max_pixels)
        self.kind = str(self._image.format)
        self._orientation = _orientation(self._image, where)
        # Pillow finds out by itself, but for what ends just before the marker.
        ends = self.shrinks and data.endswith(JPEG_END)
        if self.kind in JPEG_FORMATS and not ends and not jpeg_is_complete(data):
            raise DataError(f"image {where} is truncated: its JPEG data has no end marker")
        width, height = self._image.size
        turned = self._orientation in (5, 6, 7, 8)
        self.height, self.width = (width, height) if turned else (height, width)
        """As the picture is to be seen, EXIF orientation applied."""

    @property
    def shrinks(self) -> bool:
        """Whether `pixels` takes a factor."""
        return self.kind in JPEG_FORMATS and self._image.mode in PILLOW_MODES

    def pixels(self, shrink: int = 1) -> np.ndarray:
        """Decode. EXIF orientation is applied, alpha is blended over white, 16-bit samples are scaled to 8 bits.

        Args:
            shrink: 1, 2, 4 or 8: sides divided by it, rounded up, by a smaller inverse cosine transform, which takes
                that much less time; only where `shrinks`.

        Returns:
            uint8 [H, W] (grey) or [H, W, 3] (RGB); it may be read-only.

        Raises:
            DataError: truncated or damaged.
        """
        if self.shrinks:
            pixels = self._by_pillow(shrink)
        elif shrink == 1:
            pixels = _to_rgb8(self._by_opencv(), self._where)
        else:
            raise ValueError(f"shrink {shrink} of a {self.kind}")
        pixels = np.ascontiguousarray(_orient(pixels, self._orientation))
        if self.kind in JPEG_FORMATS and jpeg_lacks_data(self._data, pixels):
            raise DataError(f"image {self._where} is truncated: its JPEG data ends before the picture does")
        return pixels

    def _by_pillow(self, shrink: int) -> np.ndarray:
        try:
            if shrink > 1:
                self._image.draft(None, (self._image.width // shrink, self._image.height // shrink))
            return np.asarray(self._image)
        except Exception as error:  # Pillow's parsers raise nearly any type on damaged bytes
            raise DataError(f"image {self._where} is truncated or damaged: {error}") from error

    def _by_opencv(self) -> np.ndarray:
        jpeg = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION  # elsewhere IMREAD_UNCHANGED is needed to see alpha
        flags = jpeg if self.kind in JPEG_FORMATS else cv2.IMREAD_UNCHANGED
        try:
            pixels = cv2.imdecode(np.frombuffer(self._data, dtype=np.uint8), flags)
        except cv2.error as error:
            raise DataError(f"image {self._where} cannot be decoded: {error.err}") from error
        if pixels is None:
            raise DataError(f"image {self._where} cannot be decoded: its {self.kind} data is damaged")
        return pixels


def decode_image(data: bytes, where: str, max_pixels: int) -> np.ndarray:
    """The pixels of an image file held in memory, see `EncodedImage`.

    Returns:
        uint8 [H, W] (grey) or [H, W, 3] (RGB); it may be read-only.

    Raises:
        DataError: not an image, an unknown format, too many pixels, truncated or damaged.
    """
    return EncodedImage(data, where, max_pixels).pixels()


def _open_header(data: bytes, where: str, max_pixels: int) -> Any:
    """A Pillow image whose pixels are not decoded. Raises DataError."""
    from PIL import Image

    if not data:
        raise DataError(f"image {where} is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
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
    except Exception as error:  # Pillow's parsers raise nearly any type on damaged bytes
        raise DataError(f"image {where} is truncated or damaged: {error}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(
            f"image {where} has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} (max_pixels)"
        )
    return image


def _orientation(image: Any, where: str) -> int:
    """EXIF orientation 1..8 that is to be undone; 1 where OpenCV undoes it. PNG is verified. Raises DataError."""
    try:
        # getexif() of a PNG without EXIF would decode its pixels in search of it.
        orientation = image.getexif().get(EXIF_ORIENTATION, 1) if "exif" in image.info else 1
        if image.format == "PNG":
            image.verify()
    except Exception as error:  # Pillow's parsers raise nearly any type on damaged bytes
        raise DataError(f"image {where} is truncated or damaged: {error}") from error
    return orientation if image.format in TURNED_HERE and isinstance(orientation, int) else 1


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
