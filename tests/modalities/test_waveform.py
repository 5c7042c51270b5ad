"""The waveform field."""

import numpy as np
import pytest

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.waveform import Waveform


def test_passes_samples_through():
    wave = np.array([0.1, -0.2, 0.3])
    found = Waveform(8000)((wave, 8000))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wave, atol=1e-7)


def test_normalises():
    found = Waveform(8000, normalize=True)((np.array([1.0, 3.0, 1.0, 3.0]), 8000))
    np.testing.assert_allclose(found, [-1, 1, -1, 1], atol=1e-6)
    assert not Waveform(8000, normalize=True)((np.full(5, 0.3), 8000)).any()


def test_batch_matches_specs():
    field = Waveform(8000, min_samples=4)
    batch = field.collate("a", [np.array([1.0, 2.0], np.float32), None])
    assert batch["a"].tolist() == [[1, 2, 0, 0], [0, 0, 0, 0]]
    assert batch["a_mask"].tolist() == [[True, True, False, False], [False] * 4]
    assert set(field.specs("a")) == set(batch) and field.specs("a")["a"] == ((None, None), "float32")
    assert field.provides() == {"in_channels": 1}


def test_augments_with_a_generator():
    field = Waveform(8000, augment=[lambda wave, rng: wave * 2])
    value = (np.array([0.1]), 8000)
    assert field(value)[0] == np.float32(0.1) and field(value, np.random.default_rng(0))[0] == np.float32(0.2)


def test_errors():
    with pytest.raises(DataError, match="too long"):
        Waveform(8000, max_seconds=0.001)((np.zeros(9), 8000))
    with pytest.raises(ConfigError):
        Waveform(10)
    with pytest.raises(ConfigError):
        Waveform(8000, min_samples=0)
