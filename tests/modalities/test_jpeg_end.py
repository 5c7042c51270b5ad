"""JPEG files that were cut and given an end marker are noticed; whole ones, also grey ones, are not accused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ppmm.errors import DataError
from ppmm.modalities.image_file import decode_image

RNG = np.random.default_rng(0)
PHOTO = np.clip(
    np.add.outer(np.arange(120), np.arange(170) * 0.7)[..., None] + RNG.integers(0, 50, (120, 170, 3)), 0, 255
).astype(np.uint8)
END = b"\xff\xd9"


def jpeg(pixels: np.ndarray = PHOTO, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    return decode_image(data, "x.jpg", 1_000_000)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.97])
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 2, "optimize": True}, {"restart_marker_blocks": 7}]
)
def test_a_cut_sequential_file(share: float, options: dict[str, Any]) -> None:
    whole = jpeg(**options)
    with pytest.raises(DataError, match="truncated"):
        decode(whole[: int(len(whole) * share)] + END)
    assert decode(whole).shape == (120, 170, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_cut_file_that_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    whole = jpeg(exif=exif)
    with pytest.raises(DataError, match="truncated"):
        decode(whole[: len(whole) * 3 // 4] + END)
    decode(whole)


def test_a_hole_in_the_middle_shifts_the_rest_and_leaves_too_little() -> None:
    whole = jpeg(PHOTO[:, :, 0])
    with pytest.raises(DataError, match="truncated"):
        decode(whole[: len(whole) // 2] + whole[len(whole) * 3 // 4 :])


def test_a_progressive_file_that_lacks_scans() -> None:
    whole = jpeg(progressive=True)
    scans = [place for place in range(len(whole)) if whole.startswith(b"\xff\xda", place)]
    assert len(scans) == 10  # libjpeg's own plan
    for start in scans[1:]:
        with pytest.raises(DataError, match="truncated"):
            decode(whole[:start] + END)
    assert decode(whole).shape == (120, 170, 3)


@pytest.mark.parametrize("shape", [(16, 16), (8, 8), (1, 1), (40, 8), (8, 40), (33, 47), (64, 64), (7, 90)])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 2}, {"progressive": True},
                                     {"restart_marker_blocks": 1}, {"optimize": True}])  # fmt: skip
def test_whole_grey_pictures_are_good(shape: tuple[int, int], options: dict[str, Any]) -> None:
    for pixels in (np.full((*shape, 3), 128, np.uint8), np.full(shape, 128, np.uint8)):
        assert (decode(jpeg(pixels, **options)) == 128).all()


def test_whole_pictures_with_grey_borders_are_good() -> None:
    for border in range(1, 60, 7):
        pixels = PHOTO.copy()
        pixels[-border:] = pixels[:, -border:] = 128
        for options in ({"quality": 95}, {"quality": 30}, {"subsampling": 0}, {"restart_marker_blocks": 3}):
            decode(jpeg(pixels, **options))
        with pytest.raises(DataError, match="truncated"):
            whole = jpeg(pixels)
            decode(whole[: len(whole) // 3] + END)


def test_a_gif_is_refused_by_its_name() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "GIF")
    with pytest.raises(DataError, match=r"is a GIF.*convert it to one of PNG"):
        decode(buffer.getvalue())
