"""Random changes of audio features float32 [time, bands]."""

from __future__ import annotations

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.augmenting import check_probability
from ppmm.registry import AUGMENTATIONS

__all__ = ["SpecMask"]


@AUGMENTATIONS.register("spec_mask")
class SpecMask:
    """Bands of time and of frequency set to the mean of the features (Park et al. 2019, SpecAugment, section 2).

    Each width is uniform from 0 to its limit, each start uniform where the band fits. The paper's third part, time
    warping, is left out: it measures it as the least useful and most expensive one. Its policies are, for 80 bands:
    LB freq 27, time 100, one of each; LD freq 27, time 100, two of each; SS freq 27, time 70, two of each,
    time_share 0.2.

    Args:
        time: T, widest band in frames.
        freq: F, widest band in mel bands; never more than half of them.
        time_masks: m_T, bands of time.
        freq_masks: m_F, bands of frequency.
        time_share: p, widest band of time as a share of the frames.
    """

    kind = "features"

    def __init__(self, time: int, freq: int, time_masks: int = 1, freq_masks: int = 1, time_share: float = 0.5) -> None:
        if min(time, freq, time_masks, freq_masks) < 0:
            raise ConfigError(f"time, freq, time_masks, freq_masks: none of {time}, {freq}, {time_masks}, "
                              f"{freq_masks} may be negative")  # fmt: skip
        self.time = time
        self.freq = freq
        self.time_masks = time_masks
        self.freq_masks = freq_masks
        self.time_share = check_probability("time_share", time_share)

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time, bands] -> [time, bands]."""
        masked, fill = array.copy(), array.mean()
        frames, bands = array.shape
        for _ in range(self.time_masks):
            start, stop = _band(frames, min(self.time, int(frames * self.time_share)), rng)
            masked[start:stop] = fill
        for _ in range(self.freq_masks):
            start, stop = _band(bands, min(self.freq, bands // 2), rng)
            masked[:, start:stop] = fill
        return masked


def _band(length: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(0, widest + 1))
    start = int(rng.integers(0, length - width + 1))
    return start, start + width
