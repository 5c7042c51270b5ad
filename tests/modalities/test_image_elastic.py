"""Elastic distortion."""

import numpy as np
import pytest

from ppmm.errors import ConfigError
from ppmm.modalities.image_elastic import ImageElastic


def ramp(height=24, width=40):
    """A picture whose first two channels say where each pixel is."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.float32)


def test_pixels_come_from_near_places():
    """The picture of its own coordinates shows the displacements: none above the limit (cubic curves overshoot)."""
    here = ramp()
    found = ImageElastic(2.0, spacing=8)(here, np.random.default_rng(0))
    moved = np.abs(found - here)[..., :2]
    assert found.shape == here.shape and found.dtype == here.dtype
    assert 1.0 < moved.max() <= 2.0 * 1.6
    inner = (found - here)[4:-4, 4:-4, :2]
    assert np.abs(np.diff(inner, axis=0)).max() < 1.2 and np.abs(np.diff(inner, axis=1)).max() < 1.2, "no tears"


def test_zero_changes_nothing_and_seeds_count():
    picture = np.random.default_rng(1).integers(0, 256, size=(16, 24, 1), dtype=np.uint8)
    np.testing.assert_array_equal(ImageElastic(0.0)(picture, np.random.default_rng(0)), picture)
    first, again, other = (ImageElastic(1.5)(picture, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == picture.shape and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("given", [{"pixels": -1}, {"pixels": 1, "spacing": 1}])
def test_settings_out_of_range(given):
    with pytest.raises(ConfigError):
        ImageElastic(**given)
