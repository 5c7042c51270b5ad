"""Resizing against Pillow and against the textbook; the ways to make a picture fit."""

import cv2
import numpy as np
import pytest
from PIL import Image

from ppmm.modalities.image_resize import fit_image, resize_image


def photograph(height=375, width=500):
    """Smooth shapes, edges and texture, as a photograph has."""
    y, x = np.mgrid[:height, :width].astype(float)
    channels = [127 + 80 * np.sin(x / 40 + k) * np.cos(y / 30) + 40 * ((x + y) % 60 < 30) + 8 * np.sin(3 * x + k * y)
                for k in range(3)]  # fmt: skip
    return np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)


PICTURES = {
    "photograph": photograph(),
    "noise": np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8),
}
SIZES = [(224, 224), (125, 125), (100, 333), (375, 499), (600, 800), (400, 300)]


def pillow(pixels, height, width, method):
    return np.asarray(Image.fromarray(pixels).resize((width, height), method)).astype(int)


def triangle(x):
    return np.maximum(0, 1 - np.abs(x))


def cubic(x):
    """Keys 1981, a = -0.5."""
    x = np.abs(x)
    return np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))


def weights(source, target, kernel):
    """[target, source]: the kernel stretched by the scale when shrinking, normalised."""
    scale = source / target
    width = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    matrix = kernel((np.arange(source)[None] + 0.5 - centres[:, None]) / width)
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(("name", "kernel"), [("bilinear", triangle), ("bicubic", cubic)])
def test_largest_difference_from_the_textbook_is_one_level(picture, name, kernel):
    pixels = PICTURES[picture]
    for height, width in SIZES:
        found = resize_image(pixels, height, width, name).astype(float)
        rows, columns = weights(375, height, kernel), weights(500, width, kernel)
        middle = np.clip(np.floor(columns @ pixels + 0.5), 0, 255)  # Pillow rounds between its passes, too
        wanted = np.clip(np.floor(np.tensordot(rows, middle, 1) + 0.5), 0, 255)
        assert np.abs(found - wanted).max() <= 1.0, (height, width)


@pytest.mark.parametrize("picture", PICTURES)
def test_largest_differences_from_pillow(picture):
    pixels = PICTURES[picture]
    methods = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    for height, width in SIZES:
        for name, method in methods.items():
            assert np.array_equal(resize_image(pixels, height, width, name), pillow(pixels, height, width, method))


AREA = {(125, 125): 1, (75, 100): 1, (224, 224): 2, (100, 333): 2, (375, 499): 2}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("size", AREA)
def test_area_against_the_exact_average_when_shrinking(picture, size):
    """OpenCV averages the very area of a pixel. Pillow's box filter takes whole pixels only, so that the two agree
    within a level where the ratio is whole; elsewhere the exact average is computed here."""
    pixels = PICTURES[picture]
    found = resize_image(pixels, *size, "area").astype(float)

    def coverage(source, target):
        edges = np.arange(target + 1) * source / target
        places = np.arange(source)[None]
        overlap = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
        return np.maximum(overlap, 0) * target / source

    wanted = np.einsum("yh,xw,hwc->yxc", coverage(375, size[0]), coverage(500, size[1]), pixels, optimize=True)
    assert np.abs(found - wanted).max() <= 1.0
    if 375 % size[0] == 0 and 500 % size[1] == 0:
        assert np.abs(found - pillow(pixels, *size, Image.Resampling.BOX)).max() <= 1


@pytest.mark.parametrize("picture", PICTURES)
def test_area_grows_bilinearly_as_pillow(picture):
    pixels = PICTURES[picture]
    found = resize_image(pixels, 600, 800, "area")
    assert np.abs(found - pillow(pixels, 600, 800, Image.Resampling.BILINEAR)).max() <= 2


@pytest.mark.parametrize(
    ("picture", "name", "largest", "mean"),
    [
        ("photograph", "fast", 15, 3),
        ("photograph", "area", 13, 2),
        ("noise", "fast", 107, 16),
        ("noise", "area", 64, 12),
    ],
)
def test_largest_difference_of_the_other_filters_from_pillows_bilinear(picture, name, largest, mean):
    pixels = PICTURES[picture]
    for size in [*SIZES, (50, 70), (75, 100)]:
        off = np.abs(resize_image(pixels, *size, name) - pillow(pixels, *size, Image.Resampling.BILINEAR))
        assert off.max() <= largest and off.mean() <= mean, (size, off.max(), off.mean())


def test_fast_averages_whole_blocks():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
    wanted = pixels.reshape(20, 3, 45, 2).mean(axis=(1, 3))
    assert np.abs(resize_image(pixels, 20, 45, "fast") - wanted).max() <= 0.51
    assert resize_image(pixels, 7, 11, "fast").shape == (7, 11)


def test_bilinear_of_opencv_would_alias():
    stripes = np.zeros((100, 100), np.uint8)
    stripes[:, ::2] = 255
    aliased = cv2.resize(stripes, (20, 20), interpolation=cv2.INTER_LINEAR)
    for name in ("area", "bilinear", "bicubic", "fast"):
        assert np.abs(resize_image(stripes, 20, 20, name).astype(int) - 127).max() < 60
    assert np.abs(aliased.astype(int) - 127).max() > 100


@pytest.mark.parametrize("name", ["area", "bilinear", "bicubic", "fast"])
def test_grey_with_and_without_its_channel(name):
    grey = PICTURES["noise"][:, :, 0]
    assert np.array_equal(resize_image(grey[:, :, None], 50, 60, name)[:, :, 0], resize_image(grey, 50, 60, name))
    assert resize_image(grey, 375, 500, name) is grey


def test_crop_takes_the_centre():
    pixels = np.repeat(np.arange(8, dtype=np.uint8)[None], 4, axis=0) * 10
    assert fit_image(pixels, 4, 4, "crop", "area").tolist() == [[20, 30, 40, 50]] * 4
    assert np.array_equal(fit_image(pixels.T, 4, 4, "crop", "area"), fit_image(pixels, 4, 4, "crop", "area").T)
    assert fit_image(pixels, 2, 2, "crop", "area").tolist() == [[25, 45]] * 2


def test_letterbox_keeps_the_shape_and_fills():
    pixels = np.full((4, 8, 3), 200, np.uint8)
    framed = fit_image(pixels, 8, 8, "letterbox", "area", fill=7)
    assert (framed[2:6] == 200).all() and (framed[:2] == 7).all() and (framed[6:] == 7).all()
    assert (fit_image(pixels[:, :, 0], 4, 4, "letterbox", "bicubic", 1)[:, 0] == [1, 200, 200, 1]).all()


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("name", ["area", "bilinear", "bicubic", "fast"])
def test_any_shape_becomes_the_size(fit, name):
    for height, width in [(1, 1), (1, 500), (333, 2), (7, 5), (224, 224), (225, 223)]:
        assert fit_image(np.zeros((height, width, 3), np.uint8), 24, 31, fit, name).shape == (24, 31, 3)
