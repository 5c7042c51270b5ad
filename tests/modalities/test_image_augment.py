"""Image augmentations: bounds, statistics, determinism."""

import numpy as np
import pytest

from ppmm.errors import ConfigError
from ppmm.modalities.image_augment import ImageErase, ImageNoise, ImageShift


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


def test_erase_fills_one_rectangle_with_the_mean():
    image = np.zeros((8, 8, 1), np.uint8)
    image[::2] = 100
    rng = np.random.default_rng(1)
    changed = 0
    for _ in range(50):
        erased = ImageErase(0.5, 1.0)(image, rng)
        rows, columns = np.nonzero((erased == 50)[:, :, 0])
        changed += len(rows) > 0
        if len(rows):
            inside = erased[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (inside == 50).all() and inside.shape[0] <= 4 and inside.shape[1] <= 4
        assert (erased == 50).sum() + (erased == image).sum() == 64
    assert changed > 25 and image.max() == 100
    assert ImageErase(0.5, 0.0)(image, rng) is image


@pytest.mark.parametrize("step", [ImageShift(3), ImageNoise(0.2), ImageErase(0.5, 1.0)])
def test_same_generator_same_result(step):
    image = np.random.default_rng(5).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    first, second = (step(image, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second) and first.shape == image.shape and first.dtype == np.uint8


@pytest.mark.parametrize("make", [lambda: ImageShift(-1), lambda: ImageNoise(-0.1), lambda: ImageErase(1.5)])
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()
