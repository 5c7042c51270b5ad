"""Recordings as raw waveforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio import check_sample_rates
from ppmm.modalities.audio_file import load_mono
from ppmm.modalities.field import FieldBase, pad_ragged
from ppmm.registry import FIELDS
from ppmm.types import Augmentation, FieldSpec

__all__ = ["Waveform"]

MIN_STD = 1e-5


@FIELDS.register("waveform")
class Waveform(FieldBase):
    """Recording -> mono waveform float32 [T].

    Args:
        sample_rate: recordings are resampled to it, Hz.
        max_seconds: refuse longer recordings.
        min_samples: batches are padded to at least so many samples.
        normalize: zero mean and unit variance per recording; silence becomes zeros.
        augment: applied in training to the waveform, before normalisation.
    """

    kind = "audio"

    def __init__(
        self,
        sample_rate: int,
        max_seconds: float = 30.0,
        min_samples: int = 1600,
        normalize: bool = False,
        augment: list[Augmentation] | None = None,
    ) -> None:
        if sample_rate < 1000:
            raise ConfigError(f"sample_rate: {sample_rate} is in Hz and must be at least 1000")
        if min_samples < 1 or max_seconds <= 0:
            raise ConfigError("min_samples, max_seconds: must be positive")
        self.sample_rate = sample_rate
        self.max_seconds = max_seconds
        self.min_samples = min_samples
        self.normalize = normalize
        self.augment = list(augment or [])
        check_sample_rates(self.augment, sample_rate)

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Read one recording (path, bytes or (array, rate)); returns float32 [T]. Raises DataError."""
        wave = load_mono(value, self.sample_rate, self.max_seconds)
        if rng is not None:
            for step in self.augment:
                wave = step(wave, rng)
        if self.normalize:
            wave = wave - wave.mean(dtype=np.float64)
            spread = float(wave.std())
            wave = wave / spread if spread > MIN_STD else np.zeros_like(wave)
        return wave.astype(np.float32)

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, T] float32, ``name_mask`` [B, T] bool, ``has_name`` [B] bool."""
        return pad_ragged(name, arrays, (), "float32", self.min_samples)

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        return {
            name: FieldSpec((None, None), "float32"),
            f"{name}_mask": FieldSpec((None, None), "bool"),
            f"has_{name}": FieldSpec((None,), "bool"),
        }

    def provides(self) -> dict[str, int]:
        """``in_channels`` for a convolution over samples: always 1, since channels are averaged."""
        return {"in_channels": 1}
