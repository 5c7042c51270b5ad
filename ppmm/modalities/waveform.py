"""Recordings as raw waveforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.audio_field import AudioField, Channel
from ppmm.modalities.field import pad_ragged
from ppmm.registry import FIELDS
from ppmm.types import Augmentation, FieldSpec

__all__ = ["Waveform"]

MIN_STD = 1e-5


@FIELDS.register("waveform")
class Waveform(AudioField):
    """Recording -> mono waveform float32 [T].

    Args:
        sample_rate: recordings are resampled to it, Hz.
        max_seconds: refuse longer recordings.
        min_samples: batches are padded to at least so many samples.
        normalize: zero mean and unit variance per recording; silence becomes zeros.
        seconds: cut longer recordings to this, at a random place in training and in the middle otherwise, and pad
            batches to it; None keeps every recording whole.
        trim_db: cut what is so many dB softer than the loudest part off both ends; None keeps it.
        channel: ``mix`` averages the channels, ``left`` and ``right`` take one; ``both`` is for spectral fields.
        augment: applied in training to the waveform, before normalisation.
    """

    def __init__(
        self,
        sample_rate: int,
        max_seconds: float = 30.0,
        min_samples: int = 1600,
        normalize: bool = False,
        seconds: float | None = None,
        trim_db: float | None = None,
        channel: Channel = "mix",
        augment: list[Augmentation] | None = None,
    ) -> None:
        super().__init__(sample_rate, max_seconds, seconds, trim_db, channel, augment)
        if channel == "both":
            raise ConfigError("channel: a waveform has one channel: mix, left or right; log_mel and its like take both")
        if min_samples < 1:
            raise ConfigError(f"min_samples: {min_samples} must be positive")
        self.min_samples = min_samples
        self.normalize = normalize

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Read one recording (path, bytes or (array, rate)); returns float32 [T]. Raises DataError."""
        (wave,) = self._waves(value, rng)
        if self.normalize:
            wave = wave - wave.mean(dtype=np.float64)
            spread = float(wave.std())
            wave = wave / spread if spread > MIN_STD else np.zeros_like(wave)
        return wave.astype(np.float32, copy=False)

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, T] float32, ``name_mask`` [B, T] bool, ``has_name`` [B] bool."""
        return pad_ragged(name, arrays, (), "float32", max(self.min_samples, self.length or 0))

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
