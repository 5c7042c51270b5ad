"""The image field: values by hand, wrong values, batches."""

import io

import numpy as np
import pytest
from PIL import Image

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.image import ImageField
from ppmm.registry import FIELDS


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


RGB = np.array([[[255, 0, 51], [0, 102, 0]], [[0, 0, 0], [255, 255, 255]]], np.uint8)


def test_is_registered():
    assert FIELDS.get("image") is ImageField


def test_values_are_normalised_per_channel():
    field = ImageField((2, 2), 3, mean=[0.5, 0.0, 0.2], std=[0.5, 2.0, 0.1])
    out = field(RGB)
    assert out.shape == (3, 2, 2) and out.dtype == np.float32
    np.testing.assert_allclose(out[:, 0, 0], [1.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(out[:, 0, 1], [-1.0, 0.2, -2.0], atol=1e-6)
    np.testing.assert_allclose(out[:, 1, 1], [1.0, 0.5, 8.0], atol=1e-5)


def test_path_bytes_and_array_agree(tmp_path):
    field = ImageField((2, 2))
    (tmp_path / "a.png").write_bytes(png(RGB))
    expected = RGB.transpose(2, 0, 1) / 255.0
    for value in (RGB, png(RGB), tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_allclose(field(value), expected, atol=1e-6)


def test_grey_and_colour_convert_into_each_other():
    grey = np.array([[0, 51], [102, 255]], np.uint8)
    assert np.array_equal(ImageField((2, 2), 3)(grey), np.repeat(ImageField((2, 2), 1)(grey), 3, axis=0))
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    # ITU-R BT.601: 0.299 * 200 = 59.8 -> 60
    np.testing.assert_allclose(ImageField((2, 2), 1)(red), np.full((1, 2, 2), 60 / 255), atol=1e-6)
    assert ImageField((2, 2), 1)(grey[:, :, None]).shape == (1, 2, 2)


def test_shrinking_averages_and_growing_interpolates():
    checker = np.array([[0, 200], [200, 0]] * 2, np.uint8).repeat(2, axis=1)
    block = np.array([[0, 100, 200, 100], [100, 0, 100, 200]], np.uint8)
    np.testing.assert_allclose(ImageField((1, 2), 1)(block)[0] * 255, [[50, 150]], atol=1e-4)
    assert np.allclose(ImageField((1, 1), 1)(checker) * 255, 100)
    grown = ImageField((1, 4), 1)(np.array([[0, 100]], np.uint8))[0, 0] * 255
    np.testing.assert_allclose(grown, [0, 25, 75, 100], atol=1)


def test_height_comes_first():
    assert ImageField((3, 5), 1)(np.zeros((10, 10), np.uint8)).shape == (1, 3, 5)


def test_augments_only_with_a_generator():
    def brighten(pixels, rng):
        assert pixels.shape == (2, 2, 1) and pixels.dtype == np.uint8
        return np.full_like(pixels, rng.integers(10, 20))

    field = ImageField((2, 2), 1, augment=[brighten])
    black = np.zeros((2, 2), np.uint8)
    assert not field(black).any()
    first = field(black, np.random.default_rng(3))
    assert first.any() and np.array_equal(first, field(black, np.random.default_rng(3)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "not NoneType"),
        (7, "not int"),
        (b"", "0 bytes"),
        (b"junk", "not an image"),
        ("no/such.png", r"'no/such.png' does not exist"),
        (np.zeros((2, 2)), "must be uint8"),
        (np.zeros((2, 2, 4), np.uint8), r"\[height, width, 3\]"),
        (np.zeros((0, 2), np.uint8), "no pixels"),
        (np.zeros((101, 100), np.uint8), "max_pixels"),
        (png(np.zeros((101, 100), np.uint8)), "max_pixels"),
        (b"x" * 2001, "max_bytes"),
    ],
)
def test_wrong_values_are_data_errors(value, message):
    with pytest.raises(DataError, match=message):
        ImageField((4, 4), max_pixels=10_000, max_bytes=2000)(value)


@pytest.mark.parametrize(
    "settings",
    [{"size": (0, 4)}, {"size": (4, 4), "channels": 2}, {"size": (4, 4), "mean": [0.5]},
     {"size": (4, 4), "std": [1.0, 0.0, 1.0]}],
)  # fmt: skip
def test_wrong_settings_are_config_errors(settings):
    with pytest.raises(ConfigError):
        ImageField(**settings)


def test_batch_matches_specs():
    field = ImageField((2, 3), 1)
    batch = field.collate("left", [field(np.full((2, 3), 255, np.uint8)), None])
    assert batch["left"].shape == (2, 1, 2, 3)
    assert batch["left"][0].min() == 1.0 and not batch["left"][1].any()
    assert batch["has_left"].tolist() == [True, False]
    specs = field.specs("left")
    assert specs["left"] == ((None, 1, 2, 3), "float32") and specs["has_left"] == ((None,), "bool")
    assert set(specs) == set(batch)
    assert field.provides() == {"in_channels": 1}


def test_views_are_normalised_as_copies_are():
    """Augmentations may return views with negative or other strides."""
    steps = [lambda a, rng: a[::-1], lambda a, rng: a[:, ::-1], lambda a, rng: a.transpose(1, 0, 2)]
    for step in steps:
        for channels in (1, 3):
            field = ImageField((6, 6), channels, mean=[0.5] * channels, augment=[step])
            pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            plain = ImageField((6, 6), channels, mean=[0.5] * channels)(pixels).transpose(1, 2, 0)
            assert np.array_equal(field(pixels, np.random.default_rng(0)), step(plain, None).transpose(2, 0, 1))


def test_normalised_values_are_those_of_the_formula_to_the_last_bit():
    field = ImageField((5, 7), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    formula = (pixels.astype(np.float32) / 255.0 - field.mean) / field.std
    assert np.array_equal(field(pixels), formula.transpose(2, 0, 1)) and field(pixels).flags["C_CONTIGUOUS"]
