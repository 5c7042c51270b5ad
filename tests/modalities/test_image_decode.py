"""JPEG by Pillow and by OpenCV: the same pixels; shrunk decoding; parts chosen before decoding."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from ppmm.errors import DataError
from ppmm.modalities.image import ImageField
from ppmm.modalities.image_crop import ImageRandomResizedCrop
from ppmm.modalities.image_file import EncodedImage, decode_image
from ppmm.modalities.image_resize import resize_image

LIMIT = 10_000_000


def photograph(height: int, width: int, noise: float = 4.0) -> np.ndarray:
    """Blobs of several scales and a little noise, RGB."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(128.0, noise, (height, width, 3)).astype(np.float32)
    for scale in (3, 9):
        pixels += cv2.resize(rng.normal(0, 30, (scale, scale, 3)).astype(np.float32), (width, height),
                             interpolation=cv2.INTER_CUBIC)  # fmt: skip
    return np.clip(pixels, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(97, 131), (16, 16), (1, 7)])
def test_jpeg_is_to_the_last_bit_what_opencv_decodes(subsampling, progressive, size):
    data = jpeg(photograph(*size), subsampling=subsampling, progressive=progressive)
    opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.array_equal(decode_image(data, "x", LIMIT), opencv)


def test_grey_jpeg_is_to_the_last_bit_what_opencv_decodes():
    data = jpeg(photograph(50, 33)[:, :, 0])
    opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    assert opencv.ndim == 2 and np.array_equal(decode_image(data, "x", LIMIT), opencv)


def test_the_first_picture_of_an_mpo_file_is_taken():
    """Two JPEG pictures in one file, as stereo cameras and phones write it."""
    first, second = photograph(64, 96), photograph(64, 96)[::-1]
    buffer = io.BytesIO()
    Image.fromarray(first).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(second)], quality=90)
    opencv = cv2.imdecode(np.frombuffer(buffer.getvalue(), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    picture = EncodedImage(buffer.getvalue(), "x", LIMIT)
    assert picture.kind == "MPO" and np.array_equal(picture.pixels(), opencv)
    assert EncodedImage(buffer.getvalue(), "x", LIMIT).pixels(2).shape == (32, 48, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_is_known_before_decoding_as_the_picture_is_seen(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = EncodedImage(jpeg(photograph(40, 60), exif=exif), "x", LIMIT)
    assert (picture.height, picture.width) == ((40, 60) if orientation in (1, 3) else (60, 40))
    assert picture.pixels().shape == (picture.height, picture.width, 3)


def test_cmyk_jpeg_is_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(photograph(24, 40)).convert("CMYK").save(buffer, "JPEG", quality=95, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(buffer)).convert("RGB")
    picture = EncodedImage(buffer.getvalue(), "x", LIMIT)
    assert not picture.shrinks and picture.pixels().shape == (40, 24, 3)
    assert np.abs(picture.pixels().astype(int) - np.asarray(expected)).max() <= 3
    with pytest.raises(ValueError, match="shrink 2"):
        picture.pixels(2)


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_shrunk_decoding_is_near_the_mean_of_blocks(shrink):
    pixels = photograph(8 * 16, 8 * 24)
    whole = EncodedImage(jpeg(pixels, subsampling="4:4:4"), "x", LIMIT).pixels()
    small = EncodedImage(jpeg(pixels, subsampling="4:4:4"), "x", LIMIT).pixels(shrink)
    blocks = whole.reshape(128 // shrink, shrink, 192 // shrink, shrink, 3).mean(axis=(1, 3))
    assert small.shape == blocks.shape
    assert np.abs(small - blocks).mean() < 1.5 and np.abs(small - blocks).max() < 12
    assert EncodedImage(jpeg(photograph(33, 50)), "x", LIMIT).pixels(2).shape == (17, 25, 3)  # rounded up


@pytest.mark.parametrize("cut", [1, 2, 40, 400])
def test_truncated_jpeg_is_refused_at_any_place(cut):
    data = jpeg(photograph(64, 64))
    for end in (b"", b"\xff\xd9"):  # as if a thumbnail's end stood last
        if cut > 2 or not end:
            with pytest.raises(DataError, match="truncated"):
                decode_image(data[:-cut] + end * (cut < 3), "x", LIMIT)


class Part(ImageRandomResizedCrop):
    """A part that is known."""

    def __init__(self, box):
        super().__init__()
        self.known = box

    def box(self, height, width, rng):
        return self.known


@pytest.mark.parametrize(
    ("box", "shrink"),
    [((10, 20, 63, 200), 1), ((10, 20, 64, 64), 2), ((10, 20, 127, 200), 2), ((8, 20, 128, 200), 4),
     ((0, 0, 300, 400), 8)],
)  # fmt: skip
def test_random_crops_are_decoded_as_small_as_leaves_the_size(box, shrink):
    data = jpeg(photograph(300, 400))
    top, left, tall, wide = box
    decoded = EncodedImage(data, "x", LIMIT).pixels(shrink)
    edges = [round(edge / shrink) for edge in (top, top + tall, left, left + wide)]
    part = decoded[edges[0] : edges[1], edges[2] : edges[3]]
    assert min(part.shape[:2]) >= 32 and shrink * part.shape[0] == pytest.approx(tall, abs=shrink)
    expected = resize_image(part, 32, 32, "fast").transpose(2, 0, 1) / np.float32(255.0)
    found = ImageField((32, 32), random_crop=Part(box))(data, np.random.default_rng(0))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pillow_filters_and_evaluation_see_the_whole_resolution():
    data, box = jpeg(photograph(300, 400)), (8, 20, 128, 200)
    whole = decode_image(data, "x", LIMIT)
    exact = ImageField((32, 32), random_crop=Part(box), interpolation="bilinear")(data, np.random.default_rng(0))
    expected = Image.fromarray(whole[8:136, 20:220]).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(exact, np.asarray(expected).transpose(2, 0, 1) / np.float32(255), atol=1e-6)
    evaluated = ImageField((32, 32), random_crop=Part(box))(data)
    np.testing.assert_array_equal(evaluated, ImageField((32, 32))(whole))


def test_shrunk_parts_are_where_those_of_the_whole_are():
    """By less than half a pixel of the result on average; Pillow's anti-aliased filter on the whole is the measure."""
    data, crop = jpeg(photograph(600, 800, 0.0)), ImageRandomResizedCrop()
    whole, shares = decode_image(data, "x", LIMIT), []
    for seed in range(10):
        found = ImageField((64, 64), random_crop=crop)(data, np.random.default_rng(seed))
        exact = ImageField((64, 64), random_crop=crop, interpolation="bilinear")(whole, np.random.default_rng(seed))
        half = np.abs(np.diff(exact, axis=2)).mean() / 2
        shares.append(np.abs(found - exact).mean() / half)
    assert np.mean(shares) < 0.75 and max(shares) < 1.5


def test_pixels_of_a_field_can_be_written_to():
    """Decoded pictures of the very size may be read-only; steps of plug-ins may work in place."""

    def darken(pixels, rng):
        pixels //= 2
        return pixels

    data = jpeg(np.full((8, 8, 3), 100, np.uint8))
    field = ImageField((8, 8), augment=[darken])
    assert np.abs(field(data, np.random.default_rng(0)) * 255 - 50).max() <= 1
