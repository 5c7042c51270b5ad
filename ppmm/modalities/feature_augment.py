"""Random changes of audio features float32 [time, bands]."""

from __future__ import annotations

import numpy as np

from ppmm.errors import ConfigError
from ppmm.modalities.augmenting import check_probability
from ppmm.registry import AUGMENTATIONS

__all__ = ["SpecMask", "SpecWarp", "warp_time"]


@AUGMENTATIONS.register("spec_mask")
class SpecMask:
    """Bands of time and of frequency set to the mean of the features (Park et al. 2019, SpecAugment, section 2).

    Each width is uniform from 0 to its limit, each start uniform where the band fits. Time warping, which the paper
    does first, is `SpecWarp`. Its policies are, for 80 bands: LB freq 27, time 100, one of each; LD freq 27, time 100,
    two of each; SS freq 27, time 70, two of each, time_share 0.2; LB and LD warp by 80 frames, SS by 40.

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


@AUGMENTATIONS.register("spec_warp")
class SpecWarp:
    """One part faster, the other slower: SpecAugment's time warping (Park et al. 2019, section 2).

    A frame, at least W from both ends, moves earlier or later by less than W frames, uniformly; the ends stay, and the
    frames between are interpolated linearly. Put it before `SpecMask`.

    Args:
        time: W, frames; never more than half of them.
    """

    kind = "features"

    def __init__(self, time: int) -> None:
        if time < 1:
            raise ConfigError(f"time: {time} must be at least 1 frame")
        self.time = time

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[time, bands] -> [time, bands]."""
        last = len(array) - 1
        widest = min(self.time, last // 2)
        if widest < 1:
            return array
        fixed = int(rng.integers(widest, last - widest + 1))
        return warp_time(array, fixed, fixed + rng.uniform(-widest, widest))


def warp_time(array: np.ndarray, fixed: int, moved: float) -> np.ndarray:
    """Frame ``fixed`` comes to stand at ``moved``, the first and the last stay: [time, bands] -> [time, bands]."""
    last = len(array) - 1
    source = np.interp(np.arange(last + 1), [0.0, moved, last], [0.0, fixed, last])
    lower = np.minimum(source.astype(np.int64), last - 1)
    share = (source - lower)[:, None]
    return (array[lower] * (1.0 - share) + array[lower + 1] * share).astype(array.dtype)


def _band(length: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(0, widest + 1))
    start = int(rng.integers(0, length - width + 1))
    return start, start + width
