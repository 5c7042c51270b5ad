"""Image augmentations: bounds, statistics, determinism."""

import numpy as np
import pytest

from ppmm.errors import ConfigError
from ppmm.modalities.image import ImageField
from ppmm.modalities.image_augment import ImageErase, ImageFlip, ImageNoise, ImageShift
from ppmm.modalities.image_colour import ImageColourJitter
from ppmm.modalities.image_crop import ImageCrop, ImageRandomResizedCrop
from ppmm.modalities.rand_augment import ImageRandAugment


def test_shift_moves_by_at_most_the_given_pixels_and_repeats_the_edge():
    image = np.arange(25, dtype=np.uint8).reshape(5, 5, 1)
    seen = set()
    rng = np.random.default_rng(0)
    for _ in range(200):
        moved = ImageShift(1)(image, rng)
        # the centre value tells the offset: image[2 - down, 2 - right]
        down, right = 2 - int(moved[2, 2, 0]) // 5, 2 - int(moved[2, 2, 0]) % 5
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        assert np.array_equal(moved, padded[1 - down : 6 - down, 1 - right : 6 - right])
        seen.add((down, right))
    assert seen == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_noise_has_the_given_spread_on_both_scales():
    rng = np.random.default_rng(0)
    grey = ImageNoise(0.1)(np.full((100, 100, 1), 128, np.uint8), rng)
    assert grey.dtype == np.uint8 and abs(grey.std() - 25.5) < 0.5 and abs(grey.mean() - 128) < 1
    real = ImageNoise(0.1)(np.full((100, 100, 1), 0.5, np.float32), rng)
    assert real.dtype == np.float32 and abs(real.std() - 0.1) < 0.003
    black = ImageNoise(0.5)(np.zeros((50, 50, 1), np.uint8), rng)
    assert black.min() == 0 and 0.4 < (black == 0).mean() < 0.6


def test_flip_mirrors_with_its_probability():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    rng = np.random.default_rng(0)
    seen = [ImageFlip(0.25)(image, rng) for _ in range(400)]
    mirrored = sum(np.array_equal(one, image[:, ::-1]) for one in seen)
    assert mirrored + sum(np.array_equal(one, image) for one in seen) == 400 and 75 < mirrored < 125
    assert np.array_equal(ImageFlip(1.0, vertical=True)(image, rng), image[::-1])


def hole(erased, image):
    """(height, width) of the changed rectangle, which must be full; None where nothing changed."""
    changed = (erased != image).any(axis=2)
    if not changed.any():
        return None
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def test_erase_has_the_papers_areas_and_ratios():
    image = np.zeros((100, 80, 1), np.float32)
    rng = np.random.default_rng(1)
    holes = [hole(ImageErase(0.5)(image, rng), image) for _ in range(400)]
    made = [found for found in holes if found]
    assert 160 < len(made) < 240
    areas = np.array([tall * wide / 8000 for tall, wide in made])
    ratios = np.array([tall / wide for tall, wide in made])
    assert 0.015 < areas.min() < 0.05 and 0.3 < areas.max() < 0.41
    assert 0.25 < ratios.min() < 0.5 and 2.5 < ratios.max() < 3.6


def test_erase_with_the_mean():
    image = np.zeros((8, 8, 1), np.uint8)
    image[::2] = 100
    erased = ImageErase(1.0, (0.25, 0.25), (1.0, 1.0), fill="mean")(image, np.random.default_rng(1))
    assert (erased == 50).sum() == 16 and image.max() == 100
    assert ImageErase(0.0)(image, np.random.default_rng(0)) is image
    assert ImageErase(1.0, (1.0, 1.0), (2.0, 2.0))(image, np.random.default_rng(0)) is image, "it can never fit"


def test_pad_and_crop():
    image = np.arange(1, 10, dtype=np.uint8).reshape(3, 3, 1)
    rng = np.random.default_rng(0)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    wanted = {padded[i : i + 3, j : j + 3].tobytes() for i in range(3) for j in range(3)}
    assert {ImageCrop(1)(image, rng).tobytes() for _ in range(200)} == wanted


def test_random_resized_crop_has_the_wanted_areas_and_ratios():
    image = np.arange(200 * 300).reshape(200, 300)
    rng = np.random.default_rng(0)
    parts = [ImageRandomResizedCrop()(image, rng) for _ in range(500)]
    areas = np.array([part.size / image.size for part in parts])
    ratios = np.array([part.shape[1] / part.shape[0] for part in parts])
    assert 0.07 < areas.min() < 0.12 and areas.max() > 0.7
    assert ratios.min() > 0.72 and ratios.max() < 1.36
    for part in parts[:20]:  # a part as it was
        top, left = divmod(int(part[0, 0]), 300)
        assert np.array_equal(part, image[top : top + part.shape[0], left : left + part.shape[1]])
    narrow = ImageRandomResizedCrop((1.0, 1.0))(np.zeros((10, 300)), rng)
    assert narrow.shape == (10, 13), "the largest central part with a ratio of at most 4 / 3"


def test_the_field_stretches_the_random_part():
    field = ImageField((8, 8), 1, random_crop=ImageRandomResizedCrop((0.05, 0.1)))
    image = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    whole, part = field(image), field(image, np.random.default_rng(0))
    assert part.shape == whole.shape == (1, 8, 8)
    assert np.ptp(part) < 0.5 < np.ptp(whole)
    with pytest.raises(ConfigError, match="'image_flip' changes image, but random_crop of this field changes picture"):
        ImageField((8, 8), random_crop=ImageFlip())


@pytest.mark.parametrize(
    "step",
    [ImageShift(3), ImageNoise(0.2), ImageErase(1.0), ImageFlip(), ImageCrop(2), ImageRandAugment(),
     ImageColourJitter(0.4, 0.4, 0.4, 0.1)],
)  # fmt: skip
def test_same_generator_same_result(step):
    image = np.random.default_rng(5).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    first, second = (step(image, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second) and first.shape == image.shape and first.dtype == np.uint8


@pytest.mark.parametrize(
    "make",
    [
        lambda: ImageShift(-1),
        lambda: ImageNoise(-0.1),
        lambda: ImageErase(1.5),
        lambda: ImageErase(area=(0.5, 0.1)),
        lambda: ImageErase(aspect=(0.0, 1.0)),
        lambda: ImageFlip(2.0),
        lambda: ImageCrop(-1),
        lambda: ImageRandomResizedCrop((0.0, 1.0)),
        lambda: ImageRandomResizedCrop(aspect=(2.0, 1.0)),
    ],
)
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()
