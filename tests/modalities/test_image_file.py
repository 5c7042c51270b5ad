"""Decoding against Pillow, an independent decoder; hostile and damaged files."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ppmm.errors import DataError
from ppmm.modalities.image_file import decode_image, jpeg_is_complete

LIMIT = 1_000_000
NOISE = (np.random.default_rng(0).random((20, 30, 3)) * 255).astype(np.uint8)
BLOCKS = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((16, 16), np.uint8))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_the_exact_rgb(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_image(encode(Image.fromarray(NOISE), kind, **options), "x", LIMIT), NOISE)


def test_jpeg_is_near_pillow():
    data = encode(Image.fromarray(NOISE), "JPEG", quality=90)
    difference = decode_image(data, "x", LIMIT).astype(int) - np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_grey_stays_grey(progressive):
    data = encode(Image.fromarray(BLOCKS), "JPEG", quality=95, progressive=progressive)
    assert decode_image(data, "x", LIMIT).shape == (32, 48)


def test_cmyk_jpeg_becomes_rgb():
    colour = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    data = encode(Image.fromarray(colour).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode_image(data, "x", LIMIT).astype(int) - colour).max() <= 3


def test_16_bits_are_scaled():
    grey = np.array([[0, 257, 65535, 32896]], np.uint16)
    assert decode_image(encode(Image.fromarray(grey), "PNG"), "x", LIMIT).tolist() == [[0, 1, 255, 128]]


def test_alpha_is_blended_over_white():
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]], np.uint8)
    # 51 / 255 = 0.2: 0 -> 204, 100 -> 224, 200 -> 244
    expected = [[[10, 20, 30], [255, 255, 255], [204, 224, 244]]]
    assert decode_image(encode(Image.fromarray(rgba), "PNG"), "x", LIMIT).tolist() == expected


def test_transparent_palette_png():
    image = Image.new("P", (2, 1))
    image.putpixel((1, 0), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    data = encode(image, "PNG", transparency=1)
    assert decode_image(data, "x", LIMIT).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_as_pillow_does_it(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    data = encode(Image.fromarray(np.dstack([BLOCKS] * 3)), kind, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    found = decode_image(data, "x", LIMIT)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.995])
def test_truncated_files_are_refused(kind, share):
    data = encode(Image.fromarray(NOISE), kind)
    with pytest.raises(DataError, match=r"image 'x\.png'"):
        decode_image(data[: int(len(data) * share)], "'x.png'", LIMIT)


def test_truncated_jpeg_with_a_complete_thumbnail_is_refused():
    thumbnail = encode(Image.fromarray(NOISE[:8, :8]), "JPEG")
    data = encode(Image.fromarray(NOISE), "JPEG")
    comment = b"\xff\xfe" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data[:2] + comment + data[2:]
    assert jpeg_is_complete(whole) and jpeg_is_complete(whole + b"trailing bytes of a phone")
    assert not jpeg_is_complete(whole[:-2])
    with pytest.raises(DataError, match="no end marker"):
        decode_image(whole[:-2], "x", LIMIT)


def test_png_with_a_wrong_checksum_is_refused():
    data = bytearray(encode(Image.fromarray(NOISE), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    with pytest.raises(DataError, match="truncated or damaged"):
        decode_image(bytes(data), "x", LIMIT)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [2_000, 12_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_by_the_header(side):
    with pytest.raises(DataError, match="pixels"):
        decode_image(png_of(side, side), "x", LIMIT)


def test_a_pillow_warning_turned_into_an_error_is_a_data_error():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="too many pixels"):
            decode_image(png_of(12_000, 12_000), "x", LIMIT)


@pytest.mark.parametrize("data", [b"", b"\0", b"GIF89a" + b"\0" * 50, b"not an image", b"\xff\xd8", b"%!PS-Adobe-3.0"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(DataError):
        decode_image(data, "x", LIMIT)


def test_float_tiff_is_refused():
    data = encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(DataError, match="float32"):
        decode_image(data, "x", LIMIT)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM"]),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(max_size=8),
)
def test_damage_gives_pixels_or_a_data_error_and_nothing_else(kind, place, junk):
    data = encode(Image.fromarray(NOISE), kind)
    start = int(place * len(data))
    damaged = data[:start] + junk + data[start + len(junk) :]
    try:
        pixels = decode_image(damaged, "x", LIMIT)
    except DataError:
        return
    assert pixels.dtype == np.uint8 and pixels.size > 0
