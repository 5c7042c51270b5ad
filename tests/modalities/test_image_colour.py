"""Colour jitter and RandAugment against Pillow and by hand."""

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from ppmm.errors import ConfigError
from ppmm.modalities import rand_augment
from ppmm.modalities.image_colour import ImageColourJitter, brightened, contrasted, hue_turned, saturated
from ppmm.modalities.rand_augment import OPERATIONS, ImageRandAugment, altered

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    ("function", "enhancer"),
    [(brightened, ImageEnhance.Brightness), (contrasted, ImageEnhance.Contrast), (saturated, ImageEnhance.Color)],
)
def test_equals_pillow_within_rounding(function, enhancer, factor):
    wanted = np.asarray(enhancer(Image.fromarray(PIXELS)).enhance(factor)).astype(int)
    assert np.abs(function(PIXELS, factor) - wanted).max() <= (2 if function is saturated else 1)


def test_hue_turns_the_colour_circle():
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert np.abs(hue_turned(red, 1 / 3)[0, 0].astype(int) - [0, 255, 0]).max() <= 6
    assert np.abs(hue_turned(red, -1 / 3)[0, 0].astype(int) - [0, 0, 255]).max() <= 6
    h, s, v = colorsys.rgb_to_hsv(200 / 255, 120 / 255, 40 / 255)
    wanted = np.array(colorsys.hsv_to_rgb(h + 0.25, s, v)) * 255
    assert np.abs(hue_turned(np.array([[[200, 120, 40]]], np.uint8), 0.25)[0, 0] - wanted).max() <= 6


def test_jitter_stays_within_its_factors():
    grey = np.full((4, 4, 1), 100, np.uint8)
    rng = np.random.default_rng(0)
    levels = {int(ImageColourJitter(brightness=0.3)(grey, rng)[0, 0, 0]) for _ in range(300)}
    assert min(levels) in (70, 71) and max(levels) in (129, 130)
    assert np.array_equal(ImageColourJitter(saturation=0.9, hue=0.5)(grey, rng), grey)
    assert np.array_equal(ImageColourJitter()(PIXELS, rng), PIXELS)


@pytest.mark.parametrize("settings", [{"brightness": -0.1}, {"hue": 0.6}, {"contrast": -1.0}])
def test_wrong_settings(settings):
    with pytest.raises(ConfigError):
        ImageColourJitter(**settings)


def test_rand_augment_has_the_papers_fourteen_operations():
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 14


IMAGE = Image.fromarray(PIXELS)
AT_FULL_STRENGTH = {
    "identity": IMAGE,
    "auto_contrast": ImageOps.autocontrast(IMAGE),
    "equalize": ImageOps.equalize(IMAGE),
    "solarize": ImageOps.invert(IMAGE),
    "posterize": Image.fromarray(PIXELS & 0b11110000),
    "colour": ImageEnhance.Color(IMAGE).enhance(1.9),
    "contrast": ImageEnhance.Contrast(IMAGE).enhance(1.9),
    "brightness": ImageEnhance.Brightness(IMAGE).enhance(1.9),
    "sharpness": ImageEnhance.Sharpness(IMAGE).enhance(1.9),
    "rotate": IMAGE.rotate(30, fillcolor=(128, 128, 128)),
}


@pytest.mark.parametrize("operation", AT_FULL_STRENGTH)
def test_operations_at_magnitude_ten(operation):
    assert np.array_equal(altered(IMAGE, operation, 1.0), AT_FULL_STRENGTH[operation])


def test_operations_at_magnitude_five():
    assert np.array_equal(altered(IMAGE, "solarize", 0.5), np.where(PIXELS < 128, PIXELS, 255 - PIXELS))
    assert np.array_equal(altered(IMAGE, "posterize", 0.5), PIXELS & 0b11111100)
    assert np.array_equal(altered(IMAGE, "brightness", -0.5), ImageEnhance.Brightness(IMAGE).enhance(0.55))


def test_translation_and_shear_by_hand():
    moved = np.asarray(altered(IMAGE, "translate_x", 10 / 13.5))  # 0.45 x 30 = 13.5 pixels at most
    assert np.array_equal(moved[:, :20], PIXELS[:, 10:]) and (moved[:, 20:] == 128).all()
    down = np.asarray(altered(IMAGE, "translate_y", -4 / 9))
    assert np.array_equal(down[4:], PIXELS[:16]) and (down[:4] == 128).all()
    sheared = np.asarray(altered(IMAGE, "shear_x", 1.0))
    assert np.array_equal(sheared[10, :26], PIXELS[10, 3:29]), "row 10 moves by 0.3 x 10.5 = 3"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_magnitude_zero_changes_nothing(operation):
    if operation not in ("auto_contrast", "equalize", "solarize"):
        assert np.array_equal(altered(IMAGE, operation, 0.0), PIXELS)


def test_rand_augment_draws_every_operation_and_both_signs(monkeypatch):
    drawn = []
    monkeypatch.setattr(rand_augment, "altered", lambda image, name, strength: drawn.append((name, strength)) or image)
    rng = np.random.default_rng(0)
    for _ in range(300):
        ImageRandAugment(3, 5.0)(PIXELS, rng)
    assert len(drawn) == 900 and {name for name, _ in drawn} == set(OPERATIONS)
    assert {strength for _, strength in drawn} == {0.5, -0.5}


@pytest.mark.parametrize("channels", [1, 3])
def test_rand_augment_keeps_the_shape(channels):
    rng = np.random.default_rng(0)
    for _ in range(60):
        found = ImageRandAugment(2, 10.0)(PIXELS[:, :, :channels], rng)
        assert found.shape == (20, 30, channels) and found.dtype == np.uint8


@pytest.mark.parametrize("settings", [{"operations": -1}, {"magnitude": 11.0}, {"magnitude": -1.0}])
def test_wrong_rand_augment(settings):
    with pytest.raises(ConfigError):
        ImageRandAugment(**settings)
